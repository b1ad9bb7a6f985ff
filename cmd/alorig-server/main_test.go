package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/alorig/fleet/internal/document"
)

var verbs = []document.Verb{
	document.CheckPlatform, document.AwaitReady, document.PutCaddyfile, document.PutRedisUser, document.RemoveRedisUser, document.Migrate,
	document.TryNext, document.TakeOver, document.EndHandover, document.PutSite, document.RemoveSite,
}

func TestADocumentThatIsNotMeantForItIsRefused(t *testing.T) {
	for _, verb := range verbs {
		for what, tt := range map[string]struct{ text, says string }{
			"none":          {"", "there is no document on standard input; " + string(verb) + " reads one JSON object from there"},
			"unknown field": {`{"version":1,"subject":"` + canary + `","kontainer":"` + canary + `"}`, `unknown field "kontainer"`},
			"newer":         {`{"version":2,"subject":"` + canary + `"}`, "has the version 2"},
			"another type":  {`{"version":1,"subject":["` + canary + `"]}`, "subject must be of another type (string)"},
		} {
			t.Run(string(verb)+": "+what, func(t *testing.T) {
				var stdout, stderr bytes.Buffer
				err := run(t.Context(), []string{string(verb)}, strings.NewReader(tt.text), &stdout, &stderr)
				if err == nil || !strings.HasPrefix(err.Error(), string(verb)+": ") || !strings.Contains(err.Error(), tt.says) {
					t.Errorf("%v, want %q", err, tt.says)
				}
				if err != nil && strings.Contains(err.Error(), canary) {
					t.Errorf("the error quotes the document: %v", err)
				}
				if stdout.Len()+stderr.Len() > 0 {
					t.Errorf("prints %q and %q", stdout.String(), stderr.String())
				}
			})
		}
	}
}

func TestWordsThatAreNoVerbAreRefused(t *testing.T) {
	t.Parallel()
	for _, words := range [][]string{{"mistake"}, {"take-over", "psydge_backend"}, {"take-over", "--force"}} {
		var stdout bytes.Buffer
		if err := run(t.Context(), words, strings.NewReader(""), &stdout, &stdout); err == nil || stdout.Len() > 0 {
			t.Errorf("%q: %v, prints %q", words, err, stdout.String())
		}
	}
}
