// The client's cases. Each checks one behaviour; a Wrong says why it is not as expected.
#include <chrono>
#include <functional>
#include <iostream>
#include <sstream>
#include <thread>

#include <thrift/TOutput.h>

#include "peer.hpp"

using namespace apache::thrift;
using namespace interop;
using transport::TTransportException;
using Clock = std::chrono::steady_clock;

namespace {

constexpr int TIMEOUT_MS = 10000;

struct Wrong : std::runtime_error {
    using std::runtime_error::runtime_error;
};

template <typename Got, typename Want> void want(const std::string &what, const Got &got, const Want &wanted)
{
    if (got == wanted)
        return;
    std::ostringstream text;
    text << what << ": got " << got << ", want " << wanted;
    throw Wrong(text.str().substr(0, 600));
}

int64_t ms_since(Clock::time_point start)
{
    return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
}

// A socket that keeps the first bytes of both directions.
class Tap : public transport::TSocket {
public:
    using TSocket::TSocket;

    uint32_t read(uint8_t *buffer, uint32_t size) override
    {
        const uint32_t got = TSocket::read(buffer, size);
        received.append(reinterpret_cast<char *>(buffer), got);
        return got;
    }

    void write(const uint8_t *buffer, uint32_t size) override
    {
        sent.append(reinterpret_cast<const char *>(buffer), size);
        TSocket::write(buffer, size);
    }

    std::string sent, received;
};

// One connection; clients of several services may use it in turn.
struct Connection {
    Connection(const Options &options, std::shared_ptr<transport::TSocket> over, int timeout_ms = TIMEOUT_MS)
        : socket(std::move(over)), transport(wrap(options.framed)),
          protocol(std::make_shared<protocol::TBinaryProtocol>(transport)), interop(protocol), second(protocol),
          unknown(protocol)
    {
        socket->setConnTimeout(TIMEOUT_MS);
        socket->setRecvTimeout(timeout_ms);
        transport->open();
    }

    std::shared_ptr<transport::TTransport> wrap(bool framed)
    {
        if (framed)
            return std::make_shared<transport::TFramedTransport>(socket);
        return std::make_shared<transport::TBufferedTransport>(socket);
    }

    std::shared_ptr<transport::TSocket> socket;
    std::shared_ptr<transport::TTransport> transport;
    std::shared_ptr<protocol::TProtocol> protocol;
    InteropClient interop;
    SecondClient second;
    UnknownClient unknown;
};

// One connection for all cases, so that one left in a bad state by one case shows in the next.
struct Run {
    explicit Run(const Options &given) : options(given), connection(connect()) {}

    template <typename Socket = transport::TSocket> std::unique_ptr<Connection> connect(int timeout_ms = TIMEOUT_MS)
    {
        const auto [host, port] = split(options.address);
        return std::make_unique<Connection>(options, std::make_shared<Socket>(host, port), timeout_ms);
    }

    InteropClient &client() { return connection->interop; }

    void reconnect()
    {
        connection->transport->close();
        connection = connect();
    }

    void alive() { want("next call", client().Add(40, 2), 42); }

    const Options options;
    std::unique_ptr<Connection> connection;
};

// ---- values ---------------------------------------------------------------------------------------

uint32_t big_endian(const std::string &bytes)
{
    uint32_t number = 0;
    for (size_t i = 0; i < 4; i++)
        number = number << 8 | static_cast<unsigned char>(bytes.at(i));
    return number;
}

void wire(Run &run)
{
    auto connection = run.connect<Tap>();
    want("sum", connection->interop.Add(1, 2), 3);
    auto &tap = dynamic_cast<Tap &>(*connection->socket);
    for (std::string bytes : {tap.sent, tap.received}) {
        if (run.options.framed) {
            want("length of the frame", big_endian(bytes), bytes.size() - 4);
            bytes.erase(0, 4);
        }
        want("start of the message", big_endian(bytes) >> 16, 0x8001u);
    }
}

void echo_one(InteropClient &client, const std::string &message, const std::string *payload)
{
    Req sent;
    Res got;
    sent.__set_message(message);
    if (payload != nullptr)
        sent.__set_payload(*payload);
    client.Echo(got, sent);
    if (got.message != message)
        throw Wrong("the message of " + std::to_string(message.size()) + " bytes came back changed");
    want("payload is set", got.__isset.payload, payload != nullptr);
    if (payload != nullptr && got.payload != *payload)
        throw Wrong("the payload of " + std::to_string(payload->size()) + " bytes came back changed");
}

void echo(Run &run)
{
    const std::string empty, odd("\0\x01\x7f\x80\xff", 5), large = pattern(5000);
    echo_one(run.client(), "hi", nullptr);
    echo_one(run.client(), "", &empty);
    echo_one(run.client(), std::string("h\xc3\xa9llo\0\t\"<>", 11), &odd);
    echo_one(run.client(), std::string(70000, 'x'), &large);
    try {
        echo_one(run.client(), "throw", nullptr);
    } catch (const EchoError &error) {
        want("code", error.code, 7);
        want("message", error.message, "thrown");
        return;
    }
    throw Wrong("no EchoError");
}

void same(Run &run, const AllTypes &sent)
{
    AllTypes got;
    run.client().EchoTypes(got, sent);
    if (bytes_of(got) == bytes_of(sent))
        return;
    std::ostringstream text;
    text << "got " << got << ", want " << sent;
    throw Wrong(text.str().substr(0, 3000));
}

void types(Run &run)
{
    same(run, full_types());
    same(run, least_types());
    same(run, extreme_types());
}

void enum_unknown(Run &run) { same(run, unknown_enums()); }

void void_call(Run &run)
{
    run.client().Void("nothing");
    run.alive();
}

// Needs the server for itself.
void oneway(Run &run)
{
    const int64_t shots = 20, before = run.client().FireCount();
    for (int64_t i = 0; i < shots; i++)
        run.client().Fire("shot");
    const auto start = Clock::now();
    int64_t count = 0;
    while ((count = run.client().FireCount() - before) < shots && ms_since(start) < 3000)
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    want("count", count, shots);
}

void add(Run &run)
{
    want("sum", run.client().Add(1, 2), 3);
    want("sum", run.client().Add(-5, 3), -2);
    want("sum", run.client().Add(INT64_C(1) << 62, (INT64_C(1) << 62) - 1), INT64_MAX);
}

void second(Run &run)
{
    std::string text;
    run.connection->second.Echo2(text, "a");
    want("Echo2", text, "second2:a");
    Req sent;
    Res got;
    sent.__set_message("b");
    run.connection->second.Echo(got, sent);
    want("Echo", got.message, "b");
}

void metainfo(Run &run)
{
    std::map<std::string, std::string> seen;
    run.client().Meta(seen, {{"BACK", "b-1"}, {"BACK_TWO", "\xc3\xa9"}});
    want("pairs seen", seen.size(), 3u);
    want("caller", seen["caller"], "");
    want("arg.BACK", seen["arg.BACK"], "b-1");
    want("arg.BACK_TWO", seen["arg.BACK_TWO"], "\xc3\xa9");
}

void big(Run &run)
{
    const std::string data = pattern(1 << 20);
    std::string got;
    run.client().Big(got, static_cast<int32_t>(data.size()));
    if (got != data)
        throw Wrong("the reply differs from the pattern");
    for (int i = 0; i < 3; i++)
        echo_one(run.client(), "big", &data);
}

void volume(Run &run)
{
    const std::string text(1000000, 'v');
    for (int i = 0; i < 120; i++)
        echo_one(run.client(), text, nullptr);
}

// ---- errors ---------------------------------------------------------------------------------------

void declared(Run &run)
{
    try {
        std::string got;
        run.client().Fail(got, "declared");
    } catch (const EchoError &error) {
        want("code", error.code, 1001);
        want("message", error.message, "declared");
        return run.alive();
    }
    throw Wrong("no EchoError");
}

void declared2(Run &run)
{
    try {
        std::string got;
        run.client().Fail(got, "declared2");
    } catch (const OtherError &error) {
        want("reason", error.reason, "declared2");
        want("details", error.details == std::vector<std::string>{"a", "b"}, true);
        return run.alive();
    }
    throw Wrong("no OtherError");
}

// The server ends the connection after an exception, as Kitex does: the next call has a new one.
void exception(Run &run, int type, const std::string &text, const std::function<void()> &call)
{
    try {
        call();
    } catch (const TApplicationException &error) {
        want("exception type", static_cast<int>(error.getType()), type);
        if (!text.empty())
            want("exception text", std::string(error.what()), text);
        else if (*error.what() == '\0')
            throw Wrong("the exception has no text");
        run.reconnect();
        return run.alive();
    }
    throw Wrong("no exception");
}

void fail(Run &run, const std::string &how)
{
    std::string got;
    run.client().Fail(got, how);
}

// A business status has no place to travel in: a result without a value is left, which this client refuses.
void biz(Run &run)
{
    try {
        fail(run, "biz");
    } catch (const TApplicationException &error) {
        want("exception type", static_cast<int>(error.getType()), 5);
        return run.alive();
    }
    throw Wrong("a value came");
}

void error(Run &run) { exception(run, 6, "biz error: plain error", [&] { fail(run, "error"); }); }

void trans(Run &run) { exception(run, 9001, "own code [biz error]", [&] { fail(run, "trans"); }); }

void panic(Run &run) { exception(run, 6, "", [&] { fail(run, "panic"); }); }

void unknown_method(Run &run)
{
    exception(run, 20, "unknown service , method Missing", [&] {
        std::string got;
        run.connection->unknown.Missing(got, "anyone there?");
    });
}

// ---- connections ----------------------------------------------------------------------------------

void one_caller(Run &run, int number)
{
    auto connection = run.connect();
    for (int n = 0; n < run.options.calls; n++) {
        const std::string text = "caller " + std::to_string(number) + " call " + std::to_string(n);
        const std::string payload = pattern(static_cast<size_t>(number * 31 + n * 97) % 3000);
        echo_one(connection->interop, text, &payload);
        const int64_t a = static_cast<int64_t>(number) << 32;
        want(text, connection->interop.Add(a, n), a + n);
    }
}

void callers(Run &run)
{
    std::vector<std::thread> threads;
    std::vector<std::string> whys(static_cast<size_t>(run.options.callers));
    for (int number = 0; number < run.options.callers; number++) {
        threads.emplace_back([&run, &why = whys[static_cast<size_t>(number)], number] {
            try {
                one_caller(run, number);
            } catch (const std::exception &failure) {
                why = failure.what();
            }
        });
    }
    for (std::thread &thread : threads)
        thread.join();
    for (const std::string &why : whys)
        want("caller failed", why, "");
}

void deadline(Run &run)
{
    const int limit = 100, pause = 400;
    run.connection->socket->setRecvTimeout(limit);
    const auto start = Clock::now();
    bool late = false;
    try {
        run.client().Sleep(pause);
    } catch (const TTransportException &error) {
        want("timed out", error.getType() == TTransportException::TIMED_OUT, true);
        late = true;
    }
    const int64_t took = ms_since(start);
    want("timed out", late, true);
    want("within the limit", took >= limit - 10 && took < pause, true);
    run.reconnect();
    for (int i = 0; ms_since(start) < 2 * pause; i++)
        echo_one(run.client(), "after the timeout " + std::to_string(i), nullptr);
}

void killed(Run &run)
{
    run.alive();
    run.client().send_Sleep(TIMEOUT_MS - 1000);
    std::cout << "CALLING" << std::endl;
    const auto start = Clock::now();
    try {
        run.client().recv_Sleep();
    } catch (const TTransportException &error) {
        want("a timeout instead of a lost connection", error.getType() == TTransportException::TIMED_OUT, false);
        want("the error came at once", ms_since(start) < 5000, true);
        return;
    }
    throw Wrong("an answer from a dead server");
}

void drain(Run &run)
{
    run.alive();
    run.client().send_Sleep(1000);
    std::cout << "CALLING" << std::endl;
    want("running call", run.client().recv_Sleep(), 1000);
    const auto start = Clock::now();
    while (ms_since(start) < 5000) {
        try {
            run.connect();
        } catch (const TTransportException &) {
            return;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    throw Wrong("the server still takes connections");
}

struct Case {
    const char *name, *about;
    void (*run)(Run &);
    bool needs_help = false;
};

const Case ALL[] = {
    {"wire", "the client really speaks the chosen transport, and the reply mirrors it", wire},
    {"echo", "strings and optional binaries come back", echo},
    {"types", "every Thrift type: full, least and extreme values", types},
    {"enum-unknown", "an enum number outside the IDL survives", enum_unknown},
    {"void", "a void method", void_call},
    {"oneway", "every oneway call arrives once", oneway},
    {"add", "several arguments", add},
    {"declared", "first declared exception", declared},
    {"declared2", "second declared exception", declared2},
    {"biz", "business status: lost without TTHeader", biz},
    {"error", "plain handler error: exception type 6", error},
    {"trans", "handler's own exception type", trans},
    {"panic", "handler that dies: exception type 6", panic},
    {"unknown-method", "missing method: type 20, as there is no service name", unknown_method},
    {"second", "without service names, a method is looked for in all services", second},
    {"metainfo", "no caller and no metainfo without a header", metainfo},
    {"big", "1 MiB both ways", big},
    {"volume", "120 MB of strings each way over one connection", volume},
    {"callers", "many threads, each gets its own answers (-c, -n)", callers},
    {"deadline", "the client gives up; the server's late reply meets nobody", deadline},
    {"killed", "prints CALLING, then expects the server to be killed", killed, true},
    {"drain", "prints CALLING, then expects the server to be stopped: the running call is answered", drain, true},
};

bool is_chosen(const Case &test, const std::string &names)
{
    std::istringstream list(names);
    for (std::string name; std::getline(list, name, ',');)
        if (name == test.name || (name == "all" && !test.needs_help))
            return true;
    return false;
}

} // namespace

int call(const Options &options)
{
    GlobalOutput.setOutputFunction([](const char *) {});
    int passed = 0, failed = 0;
    if (options.list) {
        for (const Case &test : ALL)
            std::cout << test.name << "  " << test.about << "\n";
        return 0;
    }
    Run run(options);
    for (const Case &test : ALL) {
        if (!is_chosen(test, options.cases))
            continue;
        try {
            test.run(run);
            std::cout << "ok " << test.name << std::endl;
            passed++;
        } catch (const std::exception &why) {
            std::cout << "FAIL " << test.name << ": " << why.what() << std::endl;
            failed++;
            try {
                run.reconnect();
            } catch (const TTransportException &) {
            }
        }
    }
    if (passed + failed == 0) {
        std::cerr << "cpp-peer client: no such case: " << options.cases << "\n";
        return EXIT_USAGE;
    }
    std::cout << passed << " passed, " << failed << " failed" << std::endl;
    return failed > 0 ? EXIT_FAILED : 0;
}
