package main

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"github.com/cloudwego/kitex/server"

	"kitexpeer/kitex_gen/based"
	basedsvc "kitexpeer/kitex_gen/based/based"
)

// basedHandler tells what it sees of a request's base.Base.
type basedHandler struct{}

func (*basedHandler) Describe(ctx context.Context, req *based.BasedReq) (string, error) {
	b := req.GetBase()
	if b == nil {
		return req.Message + "|no base", nil
	}
	var extra []string
	for k, v := range b.Extra {
		extra = append(extra, k+"="+v)
	}
	sort.Strings(extra)
	return fmt.Sprintf("%s|%s|%s|%s|%s|%s", req.Message, b.LogID, b.Caller, b.Addr, b.Client, strings.Join(extra, ",")), nil
}

func registerBased(svr server.Server) error { return basedsvc.RegisterService(svr, new(basedHandler)) }
