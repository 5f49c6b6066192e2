//go:build linux && e2e

package e2e

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"caac-hub/hub"
	"caac-hub/hub/notify"
)

// constants returns the values of a package's string constants by their type.
func constants(t *testing.T, dir string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, f := range sources(t, dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && len(v.Values) == 1 {
				name, typed := v.Type.(*ast.Ident)
				if lit, ok := v.Values[0].(*ast.BasicLit); ok && typed && lit.Kind == token.STRING {
					value, _ := strconv.Unquote(lit.Value)
					out[name.Name] = append(out[name.Name], value)
				}
			}
			return true
		})
	}
	return out
}

func sources(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: %v, %v", dir, names, err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	return files
}

// details returns the texts that are noted of events: what stands in the source
// where a delivery's event, its redecision or a push's answer is made.
func details(t *testing.T) (texts []string) {
	t.Helper()
	takes := []string{"note", "lost", "redecide", "answer", "Sprintf"}
	literals := func(n ast.Node) {
		ast.Inspect(n, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text, _ := strconv.Unquote(lit.Value)
				texts = append(texts, text)
			}
			return true
		})
	}
	for _, dir := range []string{"../../hub", "../../push"} {
		for _, f := range sources(t, dir) {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CallExpr:
					name := ""
					switch fn := n.Fun.(type) {
					case *ast.Ident:
						name = fn.Name
					case *ast.SelectorExpr:
						name = fn.Sel.Name
					}
					if name != "Sprintf" && slices.Contains(takes, name) {
						for _, arg := range n.Args {
							literals(arg)
						}
					}
				case *ast.AssignStmt:
					if id, ok := n.Lhs[0].(*ast.Ident); ok && id.Name == "detail" {
						literals(n.Rhs[0])
					}
				case *ast.CompositeLit:
					if typ, ok := n.Type.(*ast.SelectorExpr); ok && typ.Sel.Name == "PushAnswer" {
						literals(n)
					}
				case *ast.FuncDecl:
					if n.Name.Name == "failure" {
						literals(n)
					}
				}
				return true
			})
		}
	}
	verb := regexp.MustCompile(`%[.\d]*[a-z]`)
	for i := range texts {
		texts[i] = verb.ReplaceAllString(texts[i], "1.5")
	}
	slices.Sort(texts)
	return slices.DeleteFunc(slices.Compact(texts), func(text string) bool { return !strings.Contains(text, " ") })
}

func TestSupportsPageHasPlainWordsForEverythingInBothLanguages(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	page := s.openSupport(b)
	known := constants(t, "../../hub/notify")
	known["Reason"] = append(known["Reason"], string(hub.NoReceipt))
	for typ, table := range map[string]string{"Channel": "CHANNELS", "Reason": "REASONS", "End": "ENDS", "EventKind": "EVENTS", "PushClass": "ANSWERS", "Kind": "KINDS"} {
		if len(known[typ]) < 4 {
			t.Fatalf("of the type %s only %q were found", typ, known[typ])
		}
		var has map[string]map[string]string
		page.Eval(`import("/support/terms.js").then((m) => m.`+table+`)`, &has)
		for _, value := range known[typ] {
			if en, zh := has["en"][value], has["zh-TW"][value]; en == "" || zh == "" || en == zh {
				t.Errorf("the %s %q: %q in English, %q in Chinese", typ, value, en, zh)
			}
		}
	}
	for _, cause := range hub.UnreachableCauses {
		var help []bool
		page.Eval(`import("/support/terms.js").then((m) => ["en", "zh-TW"].map((l) => `+strconv.Quote(string(cause))+` in m.HELP[l]))`, &help)
		if slices.Contains(help, false) {
			t.Errorf("what helps with %q is not said: %v", cause, help)
		}
	}
	var wrong []string
	page.Eval(`(async () => {
		const { TEXTS } = await import("/support/words.js");
		const terms = await import("/support/terms.js");
		const values = (text) => (text.match(/\{\w+\}/g) ?? []).sort().join();
		const sources = await Promise.all(["support.js", "why.js", "timeline.js", "reach.js", "rules.js", "words.js", "dom.js"].map((f) => fetch("/support/" + f).then((r) => r.text())));
		const used = sources.flatMap((s) => [...s.matchAll(/\bt\('(\w+)'/g)].map((m) => m[1]));
		const wrong = [];
		for (const [name, table] of [["TEXTS", TEXTS], ...Object.entries(terms)]) {
			if (!table.en) continue;
			const [en, zh] = [table.en, table["zh-TW"]];
			for (const key of new Set([...Object.keys(en), ...Object.keys(zh)])) {
				const [e, z] = [en[key], zh[key]].map((v) => Array.isArray(v) ? v.join(" ") : v);
				if (!e || !z || e === z && !/^[\W\d]*(\{\w+\}[\W\d]*)+$/.test(e) || values(e) !== values(z)) wrong.push([name, key, e, z].join(": "));
			}
		}
		return [...wrong, ...used.filter((key) => !(key in TEXTS.en)), ...[...document.querySelectorAll("[data-t]")].map((e) => e.dataset.t).filter((key) => !(key in TEXTS.en))];
	})()`, &wrong)
	for _, w := range wrong {
		t.Errorf("not in both languages: %s", w)
	}

	page.Type("#language", "zh-TW")
	page.Wait("the language", `document.documentElement.lang === "zh-TW" && document.querySelector("#live").innerText === "即時"`)
	texts := details(t)
	if len(texts) < 15 {
		t.Fatalf("only %d texts were found: %q", len(texts), texts)
	}
	for _, text := range texts {
		var said string
		page.Eval(`import("/support/words.js").then((m) => m.detail("redecided", `+strconv.Quote(text)+`))`, &said)
		if regexp.MustCompile(`[A-Za-z]{2,} [a-z]{2,}`).MatchString(said) {
			t.Errorf("%q is noted of events, and in Chinese it is %q", text, said)
		}
	}
	var said string
	page.Eval(`import("/support/words.js").then((m) => m.detail("push_answer", "throttled (429) from fcm.googleapis.com: slow down"))`, &said)
	if said != "429 推播過多，稍後再試，fcm.googleapis.com；「slow down」" {
		t.Errorf("a push service's answer in Chinese: %s", said)
	}
	m := s.message("c1", "mei", "nobody hears this")
	s.waitEnds(m)
	latin := func(where string) {
		t.Helper()
		var found []string
		page.Eval(`(() => {
			const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
			const found = [];
			while (walk.nextNode()) if (walk.currentNode.parentElement.checkVisibility() && /[A-Za-z]{2,} [A-Za-z]{2,}/.test(walk.currentNode.data)) found.push(walk.currentNode.data);
			return found;
		})()`, &found)
		if len(found) > 0 {
			t.Errorf("%s: not Chinese: %q", where, found)
		}
	}
	page.Wait("the message", `document.querySelector("#why .found")?.innerText.includes("沒有通知到任何人")`)
	page.Gesture(`document.querySelector("#why .found").click()`, nil)
	page.Wait("its timeline", `document.querySelector("#why .timeline")`)
	latin("why")
	page.Eval(`location.hash = "#why?team=none&device=x"`, nil)
	page.Wait("nothing", says("#why [role=status]", "沒有找到"))
	latin("nothing found")
	page.Gesture(`document.querySelector("#tab-reach").click()`, nil)
	page.Wait("the agents", `document.querySelectorAll("#reach .agent").length === 2`)
	latin("reach")
	page.Eval(`location.hash = "#reach?team=none"`, nil)
	page.Wait("the unknown team", says("#reach [role=alert]", "沒有這個團隊"))
	page.Gesture(`document.querySelector("#tab-rules").click()`, nil)
	page.Wait("the rules", says("#rules .verdict", "會通知到"))
	latin("rules")
	for _, m := range b.Problems() {
		if !strings.Contains(m.Text, "404") {
			t.Errorf("a page said: %v", m)
		}
	}
}

func TestSupportsPageIsAccessibleAndUsedByKeyboardAlone(t *testing.T) {
	s := newDemo(t)
	b := s.Chromium()
	page := s.openSupport(b)
	for _, c := range []string{"c1", "c2", "c3"} {
		s.waitEnds(s.message(c, "mei", "nobody hears this"))
	}
	check := func(name string, widths ...int) {
		t.Helper()
		accessible(t, page, name, widths, func(width int) {
			var over int
			page.Eval(`document.documentElement.scrollWidth - innerWidth`, &over)
			if over > 0 {
				t.Errorf("%s, %d wide: it is %d px wider", name, width, over)
			}
		})
		tabCall(t, page, "Emulation.setDeviceMetricsOverride", map[string]any{"width": 1280, "height": 844, "deviceScaleFactor": 1, "mobile": false}, nil)
	}
	press := func(key string) {
		t.Helper()
		pressKey(t, page, key)
	}
	focus := func(what, selector string) {
		t.Helper()
		page.Wait("the focus on "+what, `document.activeElement.matches(`+strconv.Quote(selector)+`) && document.activeElement.checkVisibility()`)
	}
	tabTo := func(selector string) {
		t.Helper()
		for range 40 {
			press("Tab")
			var there bool
			page.Eval(`document.activeElement.matches(`+strconv.Quote(selector)+`) && getComputedStyle(document.activeElement).outlineStyle !== "none"`, &there)
			if there {
				return
			}
		}
		t.Fatalf("Tab does not lead to %s with a focus that shows", selector)
	}
	page.Wait("the messages", `document.querySelectorAll("#why .found").length === 3`)
	tabTo("#tab-why")
	tabTo("#why .words input")
	tabCall(t, page, "Input.insertText", map[string]any{"text": "nothing-of-the-kind"}, nil)
	press("Enter")
	page.Wait("nothing", says("#why [role=status]", "Nothing found for message “nothing-of-the-kind”"))
	check("nothing found", 390)
	page.Gesture(`history.back()`, nil)
	page.Wait("the messages again", `document.querySelectorAll("#why .found").length === 3`)
	page.Eval(`document.querySelector("#tab-why").focus()`, nil)
	tabTo("#why .found:nth-child(2)")
	press("Enter")
	page.Wait("the timeline", `document.querySelector("#why .found[aria-current=true]").matches(":nth-child(2)") && document.querySelector("#why .timeline")`)
	page.Wait("that the verdict is told", `document.querySelector("#why article [role=status]").innerText.includes("reached nobody")`)
	check("why", 1280, 390)
	s.waitEnds(s.message("c4", "mei", "nobody hears this"))
	page.Wait("the list to be drawn anew", `document.querySelectorAll("#why .found").length === 4`)
	focus("the message that had it", "#why .found:nth-child(3)[aria-current=true]")

	page.Eval(`document.querySelector("#language").focus()`, nil)
	tabTo("#tab-why")
	press("ArrowRight")
	focus("the next tab", "#tab-reach[aria-selected=true]")
	page.Wait("the agents", `document.querySelectorAll("#reach .agent.unreachable").length === 2 && document.querySelector("#why").hidden`)
	check("reach", 1280, 390)
	tabTo("#reach .agent a")
	mei := b.Open(s.hub + "/agent/mei")
	(&agent{mei, s, "mei"}).waitPresence(notify.Active)
	page.Show()
	page.Wait("mei's login", says(`#reach [data-agent="mei"]`, "hidden"))
	focus("ken's messages", `#reach [data-agent="ken"] a`)
	mei.Close()
	page.Eval(`document.querySelector("#tab-reach").focus()`, nil)
	press("End")
	focus("the last tab", "#tab-rules[aria-selected=true]")
	press("ArrowRight")
	focus("the first tab", "#tab-why[aria-selected=true]")
	press("ArrowLeft")
	page.Wait("the rules", says("#rules .verdict", "would reach"))
	check("rules", 1280, 390)
	tabTo("#rules [data-add]")
	press("Enter")
	focus("the new device's page", "#rules .device:nth-of-type(4) select, #rules .person:first-child .device:last-of-type select")
	page.Eval(`document.querySelector("#rules .remove").focus()`, nil)
	press("Enter")
	focus("what adds a device", "#rules [data-add]")
	page.Type("#language", "zh-TW")
	page.Wait("the language", `document.documentElement.lang === "zh-TW" && document.querySelector("#rules .verdict")?.innerText`)
	check("rules in Chinese", 390)
	for _, m := range b.Problems() {
		t.Errorf("a page said: %v", m)
	}
}
