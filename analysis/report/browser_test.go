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
  parent.postMessage("width=" + innerWidth + " " + out.join(" ") + ";", "*");
});
</script></body>`

// frames shows the page at several widths, since a window of Chromium's has a least one, and
// writes down what each says.
func frames(widths []int) string {
	var b strings.Builder
	b.WriteString(`<html style="color-scheme: light dark"><body><p id="said"></p>
<script>addEventListener("message", function (e) { document.getElementById("said").textContent += e.data + "\n"; });</script>`)
	for _, w := range widths {
		fmt.Fprintf(&b, `<iframe style="border: 0" src="probed.html" width="%d" height="900"></iframe>`, w)
	}
	return b.String()
}

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
	widths := []int{1280, 768, 400}
	for name, text := range map[string]string{"probed.html": strings.Replace(string(b), "</body>", probe, 1), "frames.html": frames(widths)} {
		if err := os.WriteFile(filepath.Join(run.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	profile := t.TempDir()
	for i, paper := range []string{"rgb(20, 23, 26)", "rgb(255, 255, 255)"} { // as Chromium counts: 0 is dark
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
			"--user-data-dir="+profile, fmt.Sprintf("--blink-settings=preferredColorScheme=%d", i), "--window-size=1400,3000",
			"--virtual-time-budget=5000", "--dump-dom", "file://"+filepath.Join(run.Dir, "frames.html"))
		var console strings.Builder
		cmd.Stderr = &console
		dom, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v\n%s", chromium, err, console.String())
		}
		for _, w := range widths {
			want := fmt.Sprintf("width=%d overflow=false answerFirst=true switch=true paper=%s plot=%s cut=0;", w, paper, paper)
			if !strings.Contains(string(dom), want) {
				t.Errorf("not %s in\n%.900s", want, dom)
			}
		}
		for line := range strings.Lines(console.String()) {
			if strings.Contains(line, "CONSOLE") {
				t.Errorf("the console says %s", line)
			}
		}
	}
}
