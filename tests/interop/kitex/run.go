package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	kclient "github.com/cloudwego/kitex/client"
	"github.com/cloudwego/kitex/pkg/kerrors"
	"github.com/cloudwego/kitex/pkg/remote"

	"kitexpeer/kitex_gen/interop"
	interopsvc "kitexpeer/kitex_gen/interop/interop"
	"kitexpeer/kitex_gen/interop/second"
	"kitexpeer/kitex_gen/interop/unknown"
)

// A run is one client process's view of a server: clients of all services over
// one transport, kept for all cases so that a connection left in a bad state by
// one case shows in the next.
type run struct {
	dialer
	client  interopsvc.Client
	second  second.Client
	unknown unknown.Client
	missing func(ctx context.Context, s string) (string, error)

	callers, calls int
	strict         bool
}

func newRun(d dialer) (*run, error) {
	r := &run{dialer: d}
	var err error
	if r.client, err = d.interop(); err != nil {
		return nil, err
	}
	if r.second, err = d.second(); err != nil {
		return nil, err
	}
	if r.unknown, err = d.unknown(); err != nil {
		return nil, err
	}
	r.missing, err = d.missing("Interop")
	return r, err
}

// protect runs a case and turns a panic (of generated code on a bad reply, say)
// into a failure of that case.
func (r *run) protect(c testCase) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	return c.run(context.Background(), r)
}

// alive checks that the client still works after an error.
func (r *run) alive(ctx context.Context) error {
	got, err := r.client.Add(ctx, 40, 2)
	if err != nil {
		return fmt.Errorf("next call: %w", err)
	}
	return equal("next call", got, int64(42))
}

// callMissing is what generated code does for a method.
func callMissing(ctx context.Context, kc kclient.Client, s string) (string, error) {
	var result interop.UnknownMissingResult
	if err := kc.Call(ctx, "Missing", &interop.UnknownMissingArgs{S: s}, &result); err != nil {
		return "", err
	}
	return result.GetSuccess(), nil
}

func equal(what string, got, want any) error {
	if reflect.DeepEqual(got, want) {
		return nil
	}
	return fmt.Errorf("%s: got %s, want %s", what, show(got), show(want))
}

const maxShown = 300

// show keeps failure lines readable when values are large.
func show(v any) string {
	s := fmt.Sprintf("%+v", v)
	// JSON follows pointers and quotes strings, but does not know infinities.
	if b, err := json.Marshal(v); err == nil {
		s = string(b)
	}
	if len(s) > maxShown {
		s = fmt.Sprintf("%s… (%d bytes)", s[:maxShown], len(s))
	}
	return s
}

// wantException checks that err is an exception message sent by the server,
// with this type id and exactly this text.
func wantException(err error, typeID int32, text string) error {
	got, e := exceptionText(err, typeID)
	if e != nil {
		return e
	}
	if e := equal("exception text", got, text); e != nil {
		return e
	}
	return equal("client's error text", err.Error(), "remote or network error[remote]: "+text)
}

// exceptionText checks the type id and returns the text.
func exceptionText(err error, typeID int32) (string, error) {
	if err == nil {
		return "", errors.New("got success, want an exception")
	}
	if !errors.Is(err, kerrors.ErrRemoteOrNetwork) {
		return "", fmt.Errorf("not a remote or network error: %w", err)
	}
	var te *remote.TransError
	if !errors.As(err, &te) {
		return "", fmt.Errorf("not an exception from the server: %w", err)
	}
	if !strings.Contains(err.Error(), "[remote]") {
		return "", fmt.Errorf("raised locally: %w", err)
	}
	if te.TypeID() != typeID {
		return "", fmt.Errorf("exception type %d, want %d (%w)", te.TypeID(), typeID, err)
	}
	return te.Error(), nil
}
