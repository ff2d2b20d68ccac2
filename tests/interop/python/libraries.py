"""Apache Thrift and thriftpy2 behind one face: types, services, connections and a threaded server."""

import pathlib
import socket
import sys


def split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


class Apache:
    """Code made by the Thrift compiler, on the package `thrift`."""

    name = "apache"

    def __init__(self, generated: str) -> None:
        sys.path.insert(0, generated)
        from interop import Interop, Second, Unknown, ttypes
        from thrift import Thrift
        from thrift.protocol import TBinaryProtocol
        from thrift.server import TServer
        from thrift.transport import TSocket, TTransport

        self.types = ttypes
        self.services = {"Interop": Interop, "Second": Second, "Unknown": Unknown}
        self.ApplicationException = Thrift.TApplicationException
        self.TransportException = TTransport.TTransportException
        self._protocol = TBinaryProtocol.TBinaryProtocolAcceleratedFactory()
        self._socket, self._transport, self._server = TSocket, TTransport, TServer

    def application_exception(self, type_id: int, text: str) -> Exception:
        return self.ApplicationException(type_id, text)

    def _factory(self, transport: str):
        if transport == "framed":
            return self._transport.TFramedTransportFactory()
        return self._transport.TBufferedTransportFactory()

    def connect(self, address: str, transport: str, timeout_ms: int) -> "Connection":
        host, port = split(address)
        sock = self._socket.TSocket(host, port)
        sock.setTimeout(timeout_ms)
        trans = self._factory(transport).getTransport(sock)
        trans.open()
        protocol = self._protocol.getProtocol(trans)
        return Connection(sock, trans, lambda name: self.services[name].Client(protocol))

    def send(self, client, method: str, *args) -> None:
        getattr(client, f"send_{method}")(*args)

    def receive(self, client, method: str):
        return getattr(client, f"recv_{method}")()

    def is_timeout(self, error: Exception) -> bool:
        return isinstance(error, self.TransportException) and error.type == error.TIMED_OUT

    def serve(self, address: str, transport: str, handler, listening) -> None:
        class Listener(self._socket.TServerSocket):
            def listen(self):
                super().listen()
                listening(self.handle.getsockname())

        host, port = split(address)
        factory = self._factory(transport)
        server = self._server.TThreadedServer(
            self.services["Interop"].Processor(handler), Listener(host, port), factory, self._protocol, daemon=True
        )
        server.serve()


class Thriftpy2:
    """The IDL, loaded at run time."""

    name = "thriftpy2"

    def __init__(self, generated: str) -> None:
        import thriftpy2
        from thriftpy2 import protocol, server, thrift, transport

        self.types = thriftpy2.load(str(pathlib.Path(generated) / "interop.thrift"), module_name="interop_thrift")
        self.services = {name: getattr(self.types, name) for name in ("Interop", "Second", "Unknown")}
        self.ApplicationException = thrift.TApplicationException
        self.TransportException = transport.TTransportException
        self._thrift, self._transport, self._server = thrift, transport, server
        self._protocol = protocol.TCyBinaryProtocolFactory()

    def application_exception(self, type_id: int, text: str) -> Exception:
        return self.ApplicationException(type_id, text)

    def _factory(self, transport: str):
        if transport == "framed":
            return self._transport.TCyFramedTransportFactory()
        return self._transport.TCyBufferedTransportFactory()

    def connect(self, address: str, transport: str, timeout_ms: int) -> "Connection":
        host, port = split(address)
        sock = self._transport.TSocket(host, port, socket_timeout=timeout_ms)
        trans = self._factory(transport).get_transport(sock)
        trans.open()
        protocol = self._protocol.get_protocol(trans)
        return Connection(sock, trans, lambda name: self._thrift.TClient(self.services[name], protocol))

    def send(self, client, method: str, *args) -> None:
        spec = getattr(client._service, f"{method}_args").thrift_spec
        client._send(method, **{spec[i + 1][1]: value for i, value in enumerate(args)})

    def receive(self, client, method: str):
        return client._recv(method)

    def is_timeout(self, error: Exception) -> bool:
        return isinstance(error, socket.timeout)

    def serve(self, address: str, transport: str, handler, listening) -> None:
        class Listener(self._transport.TServerSocket):
            def listen(self):
                super().listen()
                listening(self.sock.getsockname())

        host, port = split(address)
        processor = self._thrift.TProcessor(self.services["Interop"], handler)
        listener = Listener(host, port, client_timeout=None)
        server = self._server.TThreadedServer(
            processor, listener, self._factory(transport), self._protocol, daemon=True
        )
        server.serve()


class Connection:
    """One socket; clients of several services may use it in turn."""

    def __init__(self, sock, trans, client) -> None:
        self.socket, self._trans, self.client = sock, trans, client
        self.interop = client("Interop")

    def set_timeout(self, ms: int) -> None:
        self.socket.setTimeout(ms) if hasattr(self.socket, "setTimeout") else self.socket.set_timeout(ms)

    def close(self) -> None:
        self._trans.close()


LIBRARIES = {library.name: library for library in (Apache, Thriftpy2)}
