package report

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"viplab/modes/catalog"
	"viplab/results"
)

// probe is a script that writes down, in the page, what a person would see of it.
const probe = `<script>
addEventListener("load", function () {
  var out = [], root = document.documentElement;
  document.querySelectorAll("details").forEach(function (d) { d.open = true; });
  out.push("overflow=" + (root.scrollWidth > innerWidth));
  out.push("answerFirst=" + (document.querySelector(".answer").getBoundingClientRect().top < 120));
  var seen = function () { return Array.from(document.querySelectorAll("svg .s1")).filter(function (e) { return e.getClientRects().length; }).length; };
  var before = seen(), box = document.querySelector("input[value=s1]");
  box.click(); var without = seen(); box.click();
  out.push("switch=" + (before > 0 && without === 0 && seen() === before));
  out.push("paper=" + getComputedStyle(document.body).backgroundColor);
  out.push("plot=" + getComputedStyle(document.querySelector("svg path")).fill);
  var cut = Array.from(document.querySelectorAll("svg, td")).filter(function (e) { return e.getBoundingClientRect().right > innerWidth + 1; });
  out.push("cut=" + cut.length);
  var p = document.createElement("p"); p.id = "probe"; p.textContent = "<" + out.join(" ") + ">"; document.body.append(p);
});
</script></body>`

// browser is a Chromium, or the test is skipped.
func browser(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium is installed to look at the page with: apt-get install chromium")
	return ""
}

// TestInBrowser looks at a report in a browser, at three widths, light and dark: the answer
// stands first, nothing is cut off, series can be switched off, plots follow the page's mode,
// and the console says nothing.
func TestInBrowser(t *testing.T) {
	chromium := browser(t)
	run, err := results.Open(fill(t, 8))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Write(run, catalog.All()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(run.Dir, results.ReportHTML))
	if err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(run.Dir, "probed.html")
	if err := os.WriteFile(page, []byte(strings.Replace(string(b), "</body>", probe, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	profile := t.TempDir()
	for _, width := range []int{1280, 768, 400} {
		for i, paper := range []string{"rgb(20, 23, 26)", "rgb(255, 255, 255)"} { // as Chromium counts: 0 is dark
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			cmd := exec.CommandContext(ctx, chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--hide-scrollbars",
				"--user-data-dir="+profile, fmt.Sprintf("--blink-settings=preferredColorScheme=%d", i), fmt.Sprintf("--window-size=%d,900", width),
				"--virtual-time-budget=2000", "--dump-dom", "file://"+page)
			var console strings.Builder
			cmd.Stderr = &console
			dom, err := cmd.Output()
			cancel()
			if err != nil {
				t.Fatalf("%s: %v\n%s", chromium, err, console.String())
			}
			for _, want := range []string{"overflow=false", "answerFirst=true", "switch=true", "paper=" + paper, "plot=" + paper, "cut=0&gt;"} {
				if !strings.Contains(string(dom), want) {
					_, said, _ := strings.Cut(string(dom), `id="probe">`)
					t.Errorf("%d pixels, paper %s: not %s, but %.300s", width, paper, want, said)
				}
			}
			for line := range strings.Lines(console.String()) {
				if strings.Contains(line, "CONSOLE") {
					t.Errorf("%d pixels: the console says %s", width, line)
				}
			}
		}
	}
}
