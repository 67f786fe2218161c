package kit

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// Probe is one question to a web server, asked as a new client would: new
// connection, no proxy, no redirection followed.
type Probe struct {
	URL *url.URL
	// Statuses that count; empty: 200–399.
	Statuses Statuses
	// Contains must be in the first bodyMax bytes of the body; empty: the body
	// isn't read.
	Contains string
	// Connect is the host:port to connect to instead of the URL's; the name in
	// the URL still goes into the request and is verified.
	Connect string
	// Host replaces the Host header.
	Host string
	// SkipVerify takes any certificate.
	SkipVerify bool
}

// bodyMax bounds the part of a body that is searched (1 MiB).
const bodyMax = 1 << 20

// Ask asks once. The context's end is the deadline for the whole answer.
func (p Probe) Ask(ctx context.Context) error {
	begun := time.Now()
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: p.SkipVerify}, DialContext: p.dial}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL.String(), nil)
	if err != nil {
		return p.silent(begun, err)
	}
	req.Host = p.Host
	req.Header.Set("User-Agent", "perdure-check")
	resp, err := client.Do(req)
	if err != nil {
		return p.silent(begun, err)
	}
	defer resp.Body.Close()
	if !p.Statuses.Has(resp.StatusCode) {
		return message.New(message.HTTPStatus, p.URL.Redacted(), resp.StatusCode, p.Statuses.String())
	}
	if p.Contains == "" {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, bodyMax))
	if strings.Contains(string(body), p.Contains) {
		return nil
	}
	if err != nil {
		return p.silent(begun, err)
	}
	return message.New(message.HTTPBody, p.URL.Redacted(), p.Contains)
}

func (p Probe) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if p.Connect != "" {
		address = p.Connect
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// silent says that no answer came, and whether that took all the time there
// was: a hung server takes it, a dead one refuses at once.
func (p Probe) silent(begun time.Time, err error) error {
	if errors.Is(err, context.DeadlineExceeded) || timedOut(err) {
		return message.New(message.HTTPNoAnswer, p.URL.Redacted(), time.Since(begun)).Wrap(err)
	}
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return message.New(message.HTTPRefused, p.URL.Redacted(), err.Error()).Wrap(err)
}

func timedOut(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// AskTCP connects once and closes.
func AskTCP(ctx context.Context, address string) error {
	begun := time.Now()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		c.Close()
		return nil
	}
	if errors.Is(err, context.DeadlineExceeded) || timedOut(err) {
		return message.New(message.TCPNoAnswer, address, time.Since(begun)).Wrap(err)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return message.New(message.TCPRefused, address, err.Error()).Wrap(err)
}

// Statuses are ranges of HTTP status codes; none means 200–399.
type Statuses [][2]int

// ParseStatuses reads "200", "200-299,401".
func ParseStatuses(text string) (Statuses, error) {
	var all Statuses
	for part := range strings.SplitSeq(text, ",") {
		low, high, ranged := strings.Cut(strings.TrimSpace(part), "-")
		if !ranged {
			high = low
		}
		a, err1 := strconv.Atoi(low)
		b, err2 := strconv.Atoi(high)
		if err := errors.Join(err1, err2); err != nil {
			return nil, fmt.Errorf("read HTTP statuses %q: %w", text, err)
		}
		if a < 100 || b > 599 || a > b {
			return nil, fmt.Errorf("read HTTP statuses %q: %d to %d is not within 100 to 599", text, a, b)
		}
		all = append(all, [2]int{a, b})
	}
	return all, nil
}

// Has reports whether a status counts.
func (s Statuses) Has(status int) bool {
	if len(s) == 0 {
		return status >= 200 && status <= 399
	}
	return slices.ContainsFunc(s, func(r [2]int) bool { return status >= r[0] && status <= r[1] })
}

func (s Statuses) String() string {
	if len(s) == 0 {
		return "200-399"
	}
	parts := make([]string, len(s))
	for i, r := range s {
		parts[i] = strconv.Itoa(r[0])
		if r[1] != r[0] {
			parts[i] += "-" + strconv.Itoa(r[1])
		}
	}
	return strings.Join(parts, ",")
}
