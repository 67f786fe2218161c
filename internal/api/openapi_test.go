package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// bodies are requests that each operation carries out, by its id. What is not
// here has no body.
var bodies = map[string]string{
	"hierarchy-create": `{"name":"shop","nodes":["n1","n2"],"class":"self-guarding","resources":[{"name":"a","kit":"process","settings":{"command":"x"}}]}`,
	"hierarchy-set":    `{"nodes":["n1","n2"],"switchback":true}`,
	"switchover":       `{"to":"n2"}`,
	"resource-create":  `{"name":"extra","kit":"process","depends_on":["web"]}`,
	"resource-set":     `{"settings":{"command":"y"}}`,
	"token-create":     `{"role":"witness","valid_seconds":60}`,
	"path-set":         `{"paths":[{"network":"lan","address":"192.0.2.2:7400","priority":1}]}`,
	"storage-add":      `{"kind":"file","location":"/mnt/witness"}`,
	"node-api":         `{"listen":"192.0.2.2:7443"}`,
	"node-maintenance": `{"on":true}`,
	"maintenance":      `{"on":true}`, "hierarchy-maintenance": `{"on":true}`, "resource-maintenance": `{"on":true}`, "node-drain": `{"on":true}`,
	"hierarchy-confirm": `{"proceed":true}`, "hierarchy-extend": `{"node":"n2"}`, "hierarchy-unextend": `{"node":"n2"}`,
	"resource-dependency": `{"child":"vip","on":true}`, "node-set": `{"shutdown":"stay"}`, "quorum-loss": `{"action":"reboot"}`,
	"node-stop":      `{"mode":"keep"}`,
	"detection-set":  `{"detection":"2s"}`,
	"user-set":       `{"role":"operator","password":"correct horse battery"}`,
	"session-create": `{"name":"mia","password":"correct horse battery"}`,
	"password-set":   `{"old":"correct horse battery","new":"another horse entirely"}`,
	"hook-set":       `{"argv":["/bin/true"],"events":["evicted"]}`,
	"limits-set":     `{"disk":80}`,
	"key-create":     `{"name":"backup","role":"guest"}`,
}

// TestDescription has every operation carried out and compares what is answered
// with what the description says that it answers: status, media type and schema.
func TestDescription(t *testing.T) {
	o := serveOutside(t)
	admin := o.key(cluster.Admin).Token
	if res, text := o.raw("PUT", "/v1/users/mia", admin, bodies["user-set"]); res.StatusCode != 200 {
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	doc := o.server.OpenAPI()
	done := 0
	operations(doc, func(op *huma.Operation) {
		if op.OperationID == "events" {
			return // a stream: see TestRevokedTokenEndsItsStream
		}
		if (op.RequestBody != nil) != (bodies[op.OperationID] != "") {
			t.Errorf("%s: has a body in the description %v, in this test %v", op.OperationID, op.RequestBody != nil, bodies[op.OperationID] != "")
			return
		}
		res, text := o.raw(op.Method, fill.Replace(op.Path), admin, bodies[op.OperationID])
		if res.StatusCode < 300 {
			done++
		}
		if why := described(doc, op, res, text); why != "" {
			t.Errorf("%s: %s", op.OperationID, why)
		}
	})
	// The rest is refused for a reason of the world's.
	if done < 30 {
		t.Errorf("only %d operations were carried out", done)
	}
}

// described says in what an answer differs from its description.
func described(doc *huma.OpenAPI, op *huma.Operation, res *http.Response, text string) string {
	r := op.Responses[fmt.Sprint(res.StatusCode)]
	if r == nil && res.StatusCode >= 400 {
		r = op.Responses["default"]
	}
	if r == nil {
		return fmt.Sprintf("status %d is not described: %s", res.StatusCode, text)
	}
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	if len(r.Content) == 0 && text == "" {
		return ""
	}
	m := r.Content[kind]
	if m == nil {
		return fmt.Sprintf("media type %q is not described for status %d", kind, res.StatusCode)
	}
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return err.Error()
	}
	var wrong huma.ValidateResult
	huma.Validate(doc.Components.Schemas, m.Schema, huma.NewPathBuffer(nil, 0), huma.ModeReadFromServer, v, &wrong)
	if len(wrong.Errors) > 0 {
		return fmt.Sprintf("status %d: %v: %s", res.StatusCode, wrong.Errors, text)
	}
	return ""
}

func TestDescriptionIsServed(t *testing.T) {
	o := serveOutside(t)
	res, text := o.raw("GET", "/openapi.json", "", "")
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]struct{ Security []map[string][]string }
	}
	if err := json.Unmarshal([]byte(text), &doc); err != nil || res.StatusCode != 200 {
		t.Fatalf("%d %v", res.StatusCode, err)
	}
	if !strings.HasPrefix(doc.OpenAPI, "3.") || len(doc.Paths["/v1/status"]["get"].Security) == 0 || len(doc.Paths["/v1/session"]["post"].Security) != 0 {
		t.Errorf("%+v", doc.Paths["/v1/status"])
	}
}
