package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/api/why"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// answerMax bounds an answer (bytes): a state with its timeline is far below.
const answerMax = 32 << 20

// Client speaks to the daemon of this machine, or to one elsewhere. Its errors
// are messages of the catalogue.
type Client struct {
	runDir string
	by     string
	// base is what addresses begin with, and token what is shown; at is for
	// people.
	base, token, at string
	http            *http.Client
}

// Dial makes a client for the daemon with this run directory. It connects with
// the first request.
func Dial(runDir string) *Client {
	runDir = filepath.Clean(runDir)
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			return dial(ctx, runDir)
		},
		MaxIdleConns: 2, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}
	return &Client{runDir: runDir, by: person(), base: "http://perdure", at: SocketPath(runDir), http: &http.Client{Transport: t}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// person is who will be shown as having asked.
func person() string {
	for _, name := range []string{"SUDO_USER", "USER", "USERNAME"} {
		if v := os.Getenv(name); v != "" {
			return v
		}
	}
	return ""
}

// ask sends a request and reads the answer into out.
func (c *Client) ask(ctx context.Context, method, path string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout+writeTimeout)
	defer cancel()
	res, err := c.send(ctx, method, path, in, "")
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, answerMax))
	if err != nil {
		return c.explain(err)
	}
	if res.StatusCode >= 300 {
		return failure(res.StatusCode, b)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(b, out); err != nil {
		return message.New(message.AnswerUnreadable, err)
	}
	return nil
}

func (c *Client) send(ctx context.Context, method, path string, in any, last string) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("encode a request: %w", err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, body)
	if err != nil {
		return nil, fmt.Errorf("make a request: %w", err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	} else {
		req.Header.Set(byHeader, c.by)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	return res, nil
}

// failure reads an answer that says what went wrong.
func failure(status int, b []byte) error {
	p := new(Problem)
	if json.Unmarshal(b, p) != nil || p.Code == "" {
		return message.New(message.AnswerUnreadable, "HTTP "+strconv.Itoa(status))
	}
	return p.err()
}

// explain says why the daemon could not be reached.
func (c *Client) explain(err error) error {
	at := c.at
	var timeout net.Error
	if c.runDir == "" && !errors.Is(err, context.Canceled) {
		return c.explainRemote(err)
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrPermission):
		return message.New(message.NoPermission, at)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return message.New(message.DaemonNotRunning, at)
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return message.New(message.RequestTimeout).Wrap(err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return message.New(message.StreamEnded).Wrap(err)
	}
	return message.New(message.DaemonNotRunning, at).Wrap(err)
}

func hierarchyPath(name, rest string) string {
	return "/v1/hierarchies/" + url.PathEscape(name) + rest
}

// View is the state, this node's own view and the report.
func (c *Client) View(ctx context.Context) (v View, err error) {
	err = c.ask(ctx, http.MethodGet, "/v1/view", nil, &v)
	if err == nil && v.State == nil {
		err = message.New(message.AnswerUnreadable, "no state")
	}
	return v, err
}

// Status is the report alone.
func (c *Client) Status(ctx context.Context) (r Report, err error) {
	return r, c.ask(ctx, http.MethodGet, "/v1/status", nil, &r)
}

// Why tells a hierarchy's story.
func (c *Client) Why(ctx context.Context, hierarchy string, o why.Options) (s []why.Story, err error) {
	q := url.Values{}
	if o.Entry != 0 {
		q.Set("entry", strconv.FormatUint(o.Entry, 10))
	}
	if o.All {
		q.Set("all", "true")
	}
	return s, c.ask(ctx, http.MethodGet, hierarchyPath(hierarchy, "/why?"+q.Encode()), nil, &s)
}

// Timeline is the newest entries after one.
func (c *Client) Timeline(ctx context.Context, after uint64, limit int) (e []cluster.Entry, err error) {
	return e, c.ask(ctx, http.MethodGet, fmt.Sprintf("/v1/timeline?after=%d&limit=%d", after, limit), nil, &e)
}

// Kits lists the kits of the daemon.
func (c *Client) Kits(ctx context.Context) (k []KitInfo, err error) {
	return k, c.ask(ctx, http.MethodGet, "/v1/kits", nil, &k)
}

// Kit describes one.
func (c *Client) Kit(ctx context.Context, name string) (k KitInfo, err error) {
	return k, c.ask(ctx, http.MethodGet, "/v1/kits/"+url.PathEscape(name), nil, &k)
}

// CreateHierarchy creates a hierarchy.
func (c *Client) CreateHierarchy(ctx context.Context, h NewHierarchy) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPost, "/v1/hierarchies", h, &d)
}

// SetHierarchy changes one.
func (c *Client) SetHierarchy(ctx context.Context, name string, h HierarchyChange) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPatch, hierarchyPath(name, ""), h, &d)
}

// DeleteHierarchy deletes one that is out of service.
func (c *Client) DeleteHierarchy(ctx context.Context, name string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodDelete, hierarchyPath(name, ""), nil, &d)
}

// InService asks for one to be in service, or out of it.
func (c *Client) InService(ctx context.Context, name string, in bool) (d Done, err error) {
	path := "/out-of-service"
	if in {
		path = "/in-service"
	}
	return d, c.ask(ctx, http.MethodPost, hierarchyPath(name, path), nil, &d)
}

// Switchover moves a hierarchy; to may be empty.
func (c *Client) Switchover(ctx context.Context, name, to string) (d SwitchoverDone, err error) {
	return d, c.ask(ctx, http.MethodPost, hierarchyPath(name, "/switchover"), Switchover{To: to}, &d)
}

// CancelSwitchover cancels one that isn't over.
func (c *Client) CancelSwitchover(ctx context.Context, name string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPost, hierarchyPath(name, "/cancel"), nil, &d)
}

// ClearFailures removes failure marks, of one node or (empty) all.
func (c *Client) ClearFailures(ctx context.Context, name, node string) (d Done, err error) {
	q := url.Values{}
	if node != "" {
		q.Set("node", node)
	}
	return d, c.ask(ctx, http.MethodPost, hierarchyPath(name, "/clear?"+q.Encode()), nil, &d)
}

// CreateResource adds a resource.
func (c *Client) CreateResource(ctx context.Context, hierarchy string, r NewResource) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPost, hierarchyPath(hierarchy, "/resources"), r, &d)
}

// SetResource changes one.
func (c *Client) SetResource(ctx context.Context, hierarchy, name string, r ResourceChange) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPatch, hierarchyPath(hierarchy, "/resources/"+url.PathEscape(name)), r, &d)
}

// DeleteResource stops and deletes one.
func (c *Client) DeleteResource(ctx context.Context, hierarchy, name string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodDelete, hierarchyPath(hierarchy, "/resources/"+url.PathEscape(name)), nil, &d)
}

// CreateToken makes a join token.
func (c *Client) CreateToken(ctx context.Context, role cluster.Role, valid time.Duration) (t TokenMade, err error) {
	return t, c.ask(ctx, http.MethodPost, "/v1/tokens", NewToken{Role: string(role), ValidSeconds: int(valid / time.Second)}, &t)
}

// RemoveNode removes a node for good.
func (c *Client) RemoveNode(ctx context.Context, name string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodDelete, "/v1/nodes/"+url.PathEscape(name), nil, &d)
}

// SetPaths sets a node's ends of its comm paths.
func (c *Client) SetPaths(ctx context.Context, node string, paths []cluster.Path) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/nodes/"+url.PathEscape(node)+"/paths", NodePaths{Paths: paths}, &d)
}

// Fenced confirms that an evicted or unmanaged node is powered off.
func (c *Client) Fenced(ctx context.Context, node string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPost, "/v1/nodes/"+url.PathEscape(node)+"/fenced", nil, &d)
}

// SetDetection changes the detection time: a profile or a duration.
func (c *Client) SetDetection(ctx context.Context, text string) (d DetectionSet, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/quorum/detection", DetectionChange{Detection: text}, &d)
}

// AddStorage adds a storage witness.
func (c *Client) AddStorage(ctx context.Context, n NewStorage) (d StorageAdded, err error) {
	return d, c.ask(ctx, http.MethodPost, "/v1/quorum/storage", n, &d)
}

// StopNode stops this node's daemon.
func (c *Client) StopNode(ctx context.Context, mode StopMode) error {
	return c.ask(ctx, http.MethodPost, "/v1/local/stop", StopNode{Mode: mode}, nil)
}
