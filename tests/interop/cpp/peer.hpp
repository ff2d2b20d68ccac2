// The peer on Apache Thrift for C++: what its files share.
#pragma once

#include <memory>
#include <string>

#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TSocket.h>

#include "Interop.h"
#include "Second.h"
#include "Unknown.h"

enum { EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct Options {
    std::string address = "127.0.0.1:0";
    bool framed = true;
    std::string cases = "all";
    int callers = 50, calls = 20;
    bool list = false;
};

int serve(const Options &options);
int call(const Options &options);

// "127.0.0.1:80" or "[::1]:80" in two.
std::pair<std::string, int> split(const std::string &address);

// Bytes in which a shift, a cut or a repeat shows.
std::string pattern(size_t size);

// Values of AllTypes, the same as in ../kitex/values.go.
interop::AllTypes full_types();
interop::AllTypes least_types();
interop::AllTypes extreme_types();
interop::AllTypes unknown_enums();

// A struct's bytes: sets and maps are sorted, so equal values give equal bytes.
template <typename Struct> std::string bytes_of(const Struct &value)
{
    auto memory = std::make_shared<apache::thrift::transport::TMemoryBuffer>();
    apache::thrift::protocol::TBinaryProtocol protocol(memory);
    value.write(&protocol);
    return memory->getBufferAsString();
}
