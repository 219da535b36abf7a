package published

import "testing"

// TestPoints: every point has a source, a provenance, and a value or a word.
func TestPoints(t *testing.T) {
	points, err := Points()
	if err != nil || len(points) < 170 {
		t.Fatalf("%d points, %v", len(points), err)
	}
	sources, err := Sources()
	if err != nil || len(sources) != 15 {
		t.Fatalf("%d sources, %v", len(sources), err)
	}
	known := map[string]bool{}
	for _, s := range sources {
		known[s.Target] = true
		if s.From == "" || s.Title == "" {
			t.Errorf("%s: %+v", s.Target, s)
		}
	}
	for _, p := range points {
		if !known[p.Target] || p.Word && p.YText == "" {
			t.Errorf("%+v", p)
		}
	}
	if got := Of(points, "R7", "iptables_2018"); len(got) != 5 || !got[3].Word || got[3].X != 15000 {
		t.Errorf("%+v", got)
	}
	if got := Of(points, "R10", "restore_before_fix"); len(got) != 1 || !got[0].Over || got[0].Y != 600 || got[0].X != 300000 {
		t.Errorf("%+v", got)
	}
	for _, p := range Of(points, "R6", "") {
		if p.Provenance != Memory {
			t.Errorf("from memory, but %+v", p)
		}
	}
}
