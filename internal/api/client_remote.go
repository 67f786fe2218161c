package api

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Remote says where daemons answer over the network and how they are known.
type Remote struct {
	// Servers are HOST[:PORT] of one or more nodes; the first that answers is
	// used.
	Servers []string
	// Token is the text of an access token.
	Token string
	// TLS verifies the server; it must not trust more than the cluster's own CA.
	TLS *tls.Config
}

// DialRemote makes a client for daemons elsewhere. It connects with the first
// request.
func DialRemote(r Remote) *Client {
	var all []string
	for _, s := range r.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			s = net.JoinHostPort(strings.Trim(s, "[]"), strconv.Itoa(DefaultPort))
		}
		all = append(all, s)
	}
	c := &Client{base: "https://perdure", at: strings.Join(all, ", "), token: strings.TrimSpace(r.Token)}
	c.http = &http.Client{Transport: &http.Transport{
		DialTLSContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return dialAny(ctx, all, r.TLS) },
		MaxIdleConns:   2, IdleConnTimeout: 30 * time.Second, DisableCompression: true,
	}}
	return c
}

// dialAny connects to the first server that proves to be of the cluster.
func dialAny(ctx context.Context, servers []string, c *tls.Config) (net.Conn, error) {
	var failed []error
	for _, s := range servers {
		one, cancel := context.WithTimeout(ctx, 3*time.Second)
		d := tls.Dialer{Config: c}
		conn, err := d.DialContext(one, "tcp", s)
		cancel()
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

// explainRemote says why no daemon could be reached.
func (c *Client) explainRemote(err error) error {
	if m, ok := message.From(err); ok {
		return m // what the verification of the server says
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) {
		return message.New(message.StreamEnded).Wrap(err)
	}
	return message.New(message.ServerUnreachable, c.at).Wrap(err)
}

// Whoami is who the daemon takes this client for.
func (c *Client) Whoami(ctx context.Context) (w Caller, err error) {
	return w, c.ask(ctx, http.MethodGet, "/v1/whoami", nil, &w)
}

// Login exchanges a password for a log-in, whose token the client uses from then
// on.
func (c *Client) Login(ctx context.Context, name, password string) (l LoggedIn, err error) {
	if err = c.ask(ctx, http.MethodPost, "/v1/session", Login{Name: name, Password: password}, &l); err == nil {
		c.token = l.Token
	}
	return l, err
}

// Logout ends the log-in.
func (c *Client) Logout(ctx context.Context) error {
	return c.ask(ctx, http.MethodDelete, "/v1/session", nil, nil)
}

// SetPassword changes the password of whoever has logged in.
func (c *Client) SetPassword(ctx context.Context, old, new string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/me/password", PasswordChange{Old: old, New: new}, &d)
}

// Users lists the users.
func (c *Client) Users(ctx context.Context) (u []cluster.User, err error) {
	return u, c.ask(ctx, http.MethodGet, "/v1/users", nil, &u)
}

// SetUser makes or changes one; an empty password leaves the one there is.
func (c *Client) SetUser(ctx context.Context, name string, u UserChange) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/users/"+url.PathEscape(name), u, &d)
}

// DeleteUser deletes one.
func (c *Client) DeleteUser(ctx context.Context, name string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodDelete, "/v1/users/"+url.PathEscape(name), nil, &d)
}

// Keys lists access tokens and log-ins.
func (c *Client) Keys(ctx context.Context) (k []cluster.Key, err error) {
	return k, c.ask(ctx, http.MethodGet, "/v1/keys", nil, &k)
}

// CreateKey makes an access token; valid 0: until it is revoked.
func (c *Client) CreateKey(ctx context.Context, name string, role cluster.Right, valid time.Duration) (k KeyMade, err error) {
	return k, c.ask(ctx, http.MethodPost, "/v1/keys", NewKey{Name: name, Role: role, ValidSeconds: int(valid / time.Second)}, &k)
}

// DeleteKey revokes one.
func (c *Client) DeleteKey(ctx context.Context, id string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodDelete, "/v1/keys/"+url.PathEscape(id), nil, &d)
}

// Audit is the newest lines of the daemon's audit log.
func (c *Client) Audit(ctx context.Context, limit int) (r []AuditRecord, err error) {
	return r, c.ask(ctx, http.MethodGet, "/v1/audit?limit="+strconv.Itoa(limit), nil, &r)
}

// SetAPI sets where a node's API listens: "default", "off", or addresses.
func (c *Client) SetAPI(ctx context.Context, node, listen string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/nodes/"+url.PathEscape(node)+"/api", NodeAPI{Listen: listen}, &d)
}

// Hooks lists the hooks, with what became of them on the daemon's node.
func (c *Client) Hooks(ctx context.Context) (h []HookView, err error) {
	return h, c.ask(ctx, http.MethodGet, "/v1/hooks", nil, &h)
}

// SetHook makes or replaces a hook.
func (c *Client) SetHook(ctx context.Context, name string, h HookChange) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/hooks/"+url.PathEscape(name), h, &d)
}

// DeleteHook deletes one.
func (c *Client) DeleteHook(ctx context.Context, name string) (d Done, err error) {
	return d, c.ask(ctx, http.MethodDelete, "/v1/hooks/"+url.PathEscape(name), nil, &d)
}

// TestHook calls one on the daemon's node.
func (c *Client) TestHook(ctx context.Context, name string) (r HookRun, err error) {
	return r, c.ask(ctx, http.MethodPost, "/v1/hooks/"+url.PathEscape(name)+"/test", nil, &r)
}

// Health is what is wrong with the machines under the nodes.
func (c *Client) Health(ctx context.Context) (h Health, err error) {
	return h, c.ask(ctx, http.MethodGet, "/v1/health", nil, &h)
}

// SetLimits sets the thresholds of health.
func (c *Client) SetLimits(ctx context.Context, l cluster.Limits) (d Done, err error) {
	return d, c.ask(ctx, http.MethodPut, "/v1/health/limits", l, &d)
}
