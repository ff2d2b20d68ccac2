// The server: what its methods do is written in ../idl/interop.thrift. It has no service but Interop.
#include <atomic>
#include <csignal>
#include <iostream>
#include <thread>

#include <thrift/TOutput.h>
#include <thrift/server/TThreadedServer.h>
#include <thrift/transport/TServerSocket.h>

#include "peer.hpp"

using namespace apache::thrift;
using namespace interop;

namespace {

class Handler : public InteropIf {
public:
    void Echo(Res &result, const Req &req) override
    {
        if (req.message == "throw") {
            EchoError thrown;
            thrown.__set_code(7);
            thrown.__set_message("thrown");
            throw thrown;
        }
        result.__set_message(req.message);
        if (req.__isset.payload)
            result.__set_payload(req.payload);
    }

    void EchoTypes(AllTypes &result, const AllTypes &v) override { result = v; }

    void Void(const std::string &) override {}

    void Fire(const std::string &) override { fired_++; }

    int64_t FireCount() override { return fired_; }

    void Fail(std::string &result, const std::string &how) override
    {
        if (how == "declared") {
            EchoError thrown;
            thrown.__set_code(1001);
            thrown.__set_message("declared");
            throw thrown;
        }
        if (how == "declared2") {
            OtherError thrown;
            thrown.__set_reason("declared2");
            thrown.__set_details({"a", "b"});
            throw thrown;
        }
        if (how == "error")
            throw std::runtime_error("plain error");
        if (how == "trans")
            throw TApplicationException(static_cast<TApplicationException::TApplicationExceptionType>(9001),
                                        "own code");
        result = how;
    }

    int64_t Add(const int64_t a, const int64_t b) override { return a + b; }

    int32_t Sleep(const int32_t ms) override
    {
        std::this_thread::sleep_for(std::chrono::milliseconds(ms));
        return ms;
    }

    // Neither a caller nor metainfo travels without a header.
    void Meta(std::map<std::string, std::string> &seen, const std::map<std::string, std::string> &backward) override
    {
        seen["caller"] = "";
        for (const auto &[key, value] : backward)
            seen["arg." + key] = value;
    }

    void Big(std::string &result, const int32_t size) override
    {
        if (size < 0 || size > 64 << 20)
            throw std::out_of_range("Big: " + std::to_string(size) + " bytes is out of range");
        result = pattern(static_cast<size_t>(size));
    }

private:
    std::atomic<int64_t> fired_{0};
};

// Says where the server listens.
class Announcer : public server::TServerEventHandler {
public:
    Announcer(transport::TServerSocket &socket, std::string host) : socket_(socket), host_(std::move(host)) {}

    void preServe() override
    {
        const bool v6 = host_.find(':') != std::string::npos;
        std::cout << "LISTENING " << (v6 ? "[" + host_ + "]" : host_) << ":" << socket_.getPort() << std::endl;
    }

private:
    transport::TServerSocket &socket_;
    const std::string host_;
};

} // namespace

int serve(const Options &options)
{
    // Blocked before the first thread starts, so that only sigwait sees them.
    sigset_t stop_signals;
    sigemptyset(&stop_signals);
    sigaddset(&stop_signals, SIGTERM);
    sigaddset(&stop_signals, SIGINT);
    sigprocmask(SIG_BLOCK, &stop_signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    GlobalOutput.setOutputFunction([](const char *) {}); // it tells of every caller that leaves

    const auto [host, port] = split(options.address);
    auto socket = std::make_shared<transport::TServerSocket>(host, port);
    std::shared_ptr<transport::TTransportFactory> transports;
    if (options.framed)
        transports = std::make_shared<transport::TFramedTransportFactory>();
    else
        transports = std::make_shared<transport::TBufferedTransportFactory>();
    server::TThreadedServer server(std::make_shared<InteropProcessor>(std::make_shared<Handler>()), socket, transports,
                                   std::make_shared<protocol::TBinaryProtocolFactory>());
    server.setServerEventHandler(std::make_shared<Announcer>(*socket, host));

    int exit_code = 0;
    std::thread serving([&] {
        try {
            server.serve(); // returns once all its clients are gone
        } catch (const std::exception &error) {
            std::cerr << "cpp-peer server: " << error.what() << "\n";
            exit_code = EXIT_FAILED;
            kill(getpid(), SIGTERM);
        }
    });
    int signal_number;
    sigwait(&stop_signals, &signal_number);
    server.stop();
    serving.join();
    return exit_code;
}
