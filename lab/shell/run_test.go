package shell

import "testing"

// TestNotice: the word that the command runs is heard once, in whatever pieces it comes, and
// not shown.
func TestNotice(t *testing.T) {
	for _, pieces := range [][]string{{"before " + startedWord + "after", " more"}, {"before \x00sta", "rted\nafter more"}} {
		var shown []byte
		heard := 0
		n := &notice{w: writer(func(p []byte) { shown = append(shown, p...) }), started: func() { heard++ }}
		for _, p := range pieces {
			if k, err := n.Write([]byte(p)); k != len(p) || err != nil {
				t.Fatal(k, err)
			}
		}
		n.flush()
		if string(shown) != "before after more" || heard != 1 {
			t.Errorf("%q: heard %d times, shown %q", pieces, heard, shown)
		}
	}
	n := &notice{w: writer(func(p []byte) { t.Logf("%s", p) })}
	if _, err := n.Write([]byte("it failed")); err != nil || string(n.held) != "it failed" {
		t.Errorf("held %q, %v", n.held, err)
	}
}

type writer func([]byte)

func (w writer) Write(p []byte) (int, error) { w(p); return len(p), nil }
