package results

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFaults: a record that cannot be used is named and set aside, and those around it stay.
func TestFaults(t *testing.T) {
	good := `{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":"10"},"trial":"t","round":0,"values":[0.5]}`
	for bad, why := range map[string]string{
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":"10"},"trial":"t"}`:                               "has no values",
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":"0"},"trial":"t","values":[1]}`:                   `is about "0" Services`,
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":"many"},"trial":"t","values":[1]}`:                `is about "many" Services`,
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":"007"},"trial":"t","values":[1]}`:                 `is about "007" Services`,
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":"9223372036854775807"},"trial":"t","values":[1]}`: "is about",
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"trial":"t","values":[1]}`:                                         `is about "" Services`,
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":"10"},"trial":"t","values":[1e300]}`:              "has the value 1e+300",
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":"10"},"trial":"t","values":[1e-300]}`:             "has the value 1e-300",
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":"10"},"trial":"t","values":[NaN]}`:                "is damaged",
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":10},"trial":"t","values":[1]}`:                    "is damaged",
		`{"metric":"sync_full_seconds","variant":{"mode":"ipvs"},"at":{"services":"10"},"trial":"t","values":"1"}`:                  "is damaged",
		`{"metric":"trial"}`: "of no trial",
		`{"trial":"t"}`:      "names no metric",
		`[]`:                 "is damaged",
	} {
		dir := write(t)
		text := fmt.Sprintf("{\"schema\":%q}\n%s\n%s\n%s\n", Schema, good, bad, good)
		if err := os.WriteFile(filepath.Join(dir, SamplesFile), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		run, err := Open(dir)
		if err != nil {
			t.Errorf("%s: %v", bad, err)
			continue
		}
		if len(run.Records) != 2 || !strings.Contains(run.Warnings[0], "line 3") || !strings.Contains(run.Warnings[0], why) {
			t.Errorf("%s: %d records, %q", bad, len(run.Records), run.Warnings)
		}
	}
}
