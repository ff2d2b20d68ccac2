// Calls through Apache Thrift's generated client, each caller on a thread and a connection of its own.
#define _Noreturn [[noreturn]]
#include "../bench.h"

#include <atomic>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <thrift/TOutput.h>
#include <thrift/protocol/TBinaryProtocol.h>
#include <thrift/transport/TBufferTransports.h>
#include <thrift/transport/TSocket.h>

#include "Interop.h"

using namespace apache::thrift;

namespace {

enum Phase { WARMUP, MEASURE, STOP };

std::atomic<Phase> phase;

class Caller {
public:
    Caller(const sockaddr_in &address, bool framed) : port_(ntohs(address.sin_port)), framed_(framed)
    {
        request_.__set_message(std::string(BENCH_TEXT_BYTES, 'x'));
        connect();
    }

    void call(uint64_t limit)
    {
        uint64_t started = bench_now_ns();
        for (uint64_t calls = 0; limit == 0 || calls < limit; calls++) {
            const Phase now_in = phase.load(std::memory_order_relaxed);
            if (now_in == STOP)
                break;
            if (schedule.step != 0)
                started = bench_wait_due(&schedule);
            interop::Res result;
            try {
                client_->Echo(result, request_);
            } catch (const transport::TTransportException &) {
                // The server ends a framed connection after 100 MiB of strings.
                connect();
                client_->Echo(result, request_);
            }
            if (result.message.size() != BENCH_TEXT_BYTES)
                bench_die("call", "the reply has another size");
            const uint64_t ended = bench_now_ns();
            if (now_in == MEASURE)
                bench_record(&latencies, ended - started);
            started = ended;
        }
    }

    bench_schedule schedule = {};
    bench_latencies latencies = {};

private:
    void connect()
    {
        auto socket = std::make_shared<transport::TSocket>("127.0.0.1", port_);
        std::shared_ptr<transport::TTransport> transport;
        if (framed_)
            transport = std::make_shared<transport::TFramedTransport>(socket);
        else
            transport = std::make_shared<transport::TBufferedTransport>(socket);
        client_.emplace(std::make_shared<protocol::TBinaryProtocol>(transport));
        transport->open();
    }

    const int port_;
    const bool framed_;
    interop::Req request_;
    std::optional<interop::InteropClient> client_;
};

void pause_for(double seconds)
{
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
}

} // namespace

int main(int argc, char **argv)
{
    const bench_client_args args = bench_client_arguments(argc, argv);
    const std::string transport = args.transport;
    if (transport != "framed" && transport != "buffered")
        bench_die("transport", "framed or buffered");
    GlobalOutput.setOutputFunction([](const char *) {});

    std::vector<std::unique_ptr<Caller>> callers;
    for (int i = 0; i < args.callers; i++)
        callers.push_back(std::make_unique<Caller>(bench_address(args.address), transport == "framed"));

    const bool counted = args.calls != 0;
    phase = counted ? MEASURE : WARMUP;
    bench_use used = bench_use_now();
    uint64_t begin = bench_now_ns();
    std::vector<std::thread> threads;
    for (size_t i = 0; args.rate > 0 && i < callers.size(); i++)
        callers[i]->schedule = bench_schedule_of(&args, static_cast<int>(i), args.callers, begin);
    for (auto &caller : callers)
        threads.emplace_back([&caller, &args] { caller->call(args.calls); });
    if (!counted) {
        pause_for(args.warmup);
        used = bench_use_now();
        begin = bench_now_ns();
        phase = MEASURE;
        pause_for(args.seconds);
        phase = STOP;
    }
    bench_use end = bench_use_now();
    uint64_t ended = bench_now_ns();
    static bench_latencies all;
    for (size_t i = 0; i < threads.size(); i++) {
        threads[i].join();
        bench_merge(&all, &callers[i]->latencies);
    }
    if (counted) {
        end = bench_use_now();
        ended = bench_now_ns();
    }
    // The envelope: version, name and sequence number, and the length in front.
    const size_t envelope = 4 + 4 + strlen(BENCH_METHOD) + 4 + (transport == "framed" ? 4 : 0);
    bench_print_client(&all, used, end, static_cast<double>(ended - begin) / 1e9, envelope + BENCH_BODY_BYTES,
                       envelope + BENCH_BODY_BYTES);
    return 0;
}
