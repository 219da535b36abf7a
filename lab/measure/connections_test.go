package measure

import (
	"errors"
	"testing"

	"viplab/workload"
)

// TestFailed: the reason is there, whichever connections failed.
func TestFailed(t *testing.T) {
	reason := errors.New("refused")
	bad, good := workload.Connections{Done: 1, Failed: 2, Err: reason}, workload.Connections{Done: 4}
	if err := failed(good, good); err != nil {
		t.Errorf("none failed: %v", err)
	}
	for _, err := range []error{failed(bad, good), failed(good, bad)} {
		if !errors.Is(err, reason) || err.Error() != "2 of 7 connections failed: refused" {
			t.Errorf("got %v", err)
		}
	}
}
