// Requests that carry a base.Base.
include "base.thrift"

namespace go based

struct BasedReq {
    1: string message,
    255: base.Base base,
}

service Based {
    // What the server sees: "message|LogID|Caller|Addr|Client|" and each extra pair as "k=v".
    string Describe(1: BasedReq req)
}
