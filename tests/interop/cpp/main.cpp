// The peer on Apache Thrift for C++.
//
//   cpp-peer server [-listen 127.0.0.1:0] -transport framed|buffered    prints LISTENING ADDRESS, ends on SIGTERM
//   cpp-peer client -addr ADDRESS -transport framed|buffered [-case NAME,…|all] [-c CALLERS] [-n CALLS]
//   cpp-peer client -list
#include <cstring>
#include <iostream>

#include "peer.hpp"

static int usage()
{
    std::cerr << "usage: cpp-peer server [-listen ADDRESS] [-transport framed|buffered]\n"
                 "       cpp-peer client -addr ADDRESS [-transport framed|buffered] [-case NAMES] [-c N] [-n N]\n"
                 "       cpp-peer client -list\n";
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    const std::string command = argc > 1 ? argv[1] : "";
    if (command != "server" && command != "client")
        return usage();
    Options options;
    for (int i = 2; i < argc; i++) {
        const std::string flag = argv[i];
        if (flag == "-list") {
            options.list = true;
            continue;
        }
        if (++i == argc)
            return usage();
        const std::string value = argv[i];
        if (flag == "-listen" || flag == "-addr")
            options.address = value;
        else if (flag == "-transport" && (value == "framed" || value == "buffered"))
            options.framed = value == "framed";
        else if (flag == "-case")
            options.cases = value;
        else if (flag == "-c")
            options.callers = std::stoi(value);
        else if (flag == "-n")
            options.calls = std::stoi(value);
        else
            return usage();
    }
    try {
        return command == "server" ? serve(options) : call(options);
    } catch (const std::exception &error) {
        std::cerr << "cpp-peer " << command << ": " << error.what() << "\n";
        return EXIT_FAILED;
    }
}

std::pair<std::string, int> split(const std::string &address)
{
    const size_t colon = address.rfind(':');
    if (colon == std::string::npos)
        throw std::invalid_argument("no port in " + address);
    std::string host = address.substr(0, colon);
    if (host.size() > 2 && host.front() == '[')
        host = host.substr(1, host.size() - 2);
    return {host, std::stoi(address.substr(colon + 1))};
}

std::string pattern(size_t size)
{
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; i++)
        bytes[i] = static_cast<char>(i % 251);
    return bytes;
}
