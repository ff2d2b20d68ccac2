// Echo on Apache Thrift's server with a thread for each connection, with generated code.
#define _Noreturn [[noreturn]]
#include "../bench.h"

#include <atomic>
#include <csignal>
#include <string>
#include <thread>

#include <thrift/TOutput.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TServerSocket.h>

#include "Interop.h"

using namespace apache::thrift;

namespace {

std::atomic<uint64_t> calls;

class Handler : public interop::InteropNull {
    void Echo(interop::Res &result, const interop::Req &req) override
    {
        result.__set_message(req.message);
        calls.fetch_add(1, std::memory_order_relaxed);
    }
};

class Announcer : public server::TServerEventHandler {
public:
    explicit Announcer(transport::TServerSocket &socket) : socket_(socket) {}

    void preServe() override
    {
        const std::string address = "127.0.0.1:" + std::to_string(socket_.getPort());
        bench_print_listening(address.data(), address.size());
    }

private:
    transport::TServerSocket &socket_;
};

} // namespace

int main(int argc, char **argv)
{
    const std::string transport = argc == 2 ? argv[1] : "";
    if (transport != "--transport=framed" && transport != "--transport=buffered") {
        fprintf(stderr, "usage: %s --transport=framed|buffered\n", argv[0]);
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    GlobalOutput.setOutputFunction([](const char *) {});

    auto socket = std::make_shared<transport::TServerSocket>("127.0.0.1", 0);
    std::shared_ptr<transport::TTransportFactory> transports;
    if (transport == "--transport=framed")
        transports = std::make_shared<transport::TFramedTransportFactory>();
    else
        transports = std::make_shared<transport::TBufferedTransportFactory>();
    server::TThreadedServer server(std::make_shared<interop::InteropProcessor>(std::make_shared<Handler>()), socket,
                                   transports, std::make_shared<protocol::TBinaryProtocolFactory>());
    server.setServerEventHandler(std::make_shared<Announcer>(*socket));
    std::thread serving([&] { server.serve(); });

    int signal_number;
    sigwait(&signals, &signal_number);
    bench_print_server(calls);
    server.stop();
    serving.join();
    return 0;
}
