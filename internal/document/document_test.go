package document

import (
	"strings"
	"testing"
)

const canary = "c4n4ry"

func TestADocumentIsReadStrictly(t *testing.T) {
	t.Parallel()
	good := `{"version":1,"app":"psydge","caddy":"c","directory":"d","file":"f","text":"t"}`
	for name, tt := range map[string]struct{ text, says string }{
		"nothing":         {" \n", "there is no document on standard input"},
		"no JSON":         {"caddy=" + canary, "not one readable JSON object: there is a syntax error at byte 1"},
		"a list":          {"[]", "not one readable JSON object"},
		"cut off":         {good[:len(good)-2], "not one readable JSON object"},
		"unknown field":   {strings.Replace(good, `"caddy"`, `"kaddy"`, 1), `unknown field "kaddy"`},
		"another type":    {strings.Replace(good, `"t"`, `{"secret":"`+canary+`"}`, 1), "text must be of another type (string)"},
		"no version":      {strings.Replace(good, `"version":1,`, "", 1), "has the version 0; this program reads 1 alone"},
		"a newer version": {strings.Replace(good, ":1,", ":2,", 1), "has the version 2; this program reads 1 alone"},
		"two documents":   {good + good, "not one readable JSON object"},
		"more behind":     {good + " true", "not one readable JSON object"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read([]byte(tt.text), PutSite, &Site{})
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want %q", err, tt.says)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Errorf("the error quotes the document: %v", err)
			}
		})
	}
	var site Site
	if header, err := Read([]byte(good+"\n"), PutSite, &site); err != nil || header.App != "psydge" || site.Text != "t" {
		t.Errorf("%+v, %v", site, err)
	}
}

func TestWhatIsWrittenIsReadAgain(t *testing.T) {
	t.Parallel()
	written := Handover{
		Header: NewHeader("psydge", "psydge_backend"), Stack: "prod", Patience: 180, Lock: "/l",
		Container: Container{
			Name: "psydge_backend", Environment: map[string]string{"B": "'\"\n$", "A": ""}, Labels: map[string]string{"x": "y"},
			Probe: &Probe{Test: []string{"CMD", "true"}, Retries: 3},
		},
	}
	first, err := Write(written)
	if err != nil {
		t.Fatal(err)
	}
	var read Handover
	if _, err := Read([]byte(first), TakeOver, &read); err != nil {
		t.Fatal(err)
	}
	if again, err := Write(read); err != nil || again != first {
		t.Errorf("%s\nis written again as\n%s\n%v", first, again, err)
	}
}
