//! The server's end: streams that peers open are handed to whoever dispatches them.

use std::sync::Arc;
use std::time::Instant;

use bytes::BytesMut;

use crate::base::fault::hold;
use crate::base::log::Log;
use crate::base::{Code, Error, Result};
use crate::io::stream::link::Link;
use crate::io::stream::mailbox::Mailbox;
use crate::io::stream::open::OpenJob;
use crate::io::stream::tally::Tally;
use crate::io::stream::task::{Side, Task};
use crate::io::transport::Transport;
use crate::io::{chance, clock};
use crate::proto::stream::{Connection, Finish, Opening, Options, Pairs, Server, ServerConn, StreamKey};
use crate::wire::ttheader::Header;

/// A stream that a peer has opened.
pub struct Incoming {
    /// What it asks for.
    pub opening: Opening,
    /// The stream. It is given back with [`Link::release`].
    pub link: Arc<Link>,
}

/// Takes streams off a connection. The rooms above implement it.
pub trait Dispatch: Send + Sync {
    /// Handles a stream or hands it on; must not block.
    fn dispatch_stream(&self, incoming: Incoming);
}

/// What connections of streams are served with.
#[derive(Clone)]
pub struct ServerSide {
    /// Who handles streams.
    pub dispatch: Arc<dyn Dispatch>,
    /// What connections are run with.
    pub options: Arc<Options>,
    /// What they have seen.
    pub tally: Arc<Tally>,
}

/// The task of a connection whose first bytes are those of a stream.
pub(crate) fn serve(
    side: ServerSide,
    transport: Transport,
    input: BytesMut,
    peer: Arc<str>,
    log: Log,
) -> (Arc<Mailbox>, impl Future<Output = ()> + Send) {
    let mailbox = Mailbox::new(peer);
    let options = Options { seed: chance::draw(), ..(*side.options).clone() };
    let conn = ServerConn::new(options, clock::now());
    let task = Task::new(side.dispatch, conn, transport, Arc::clone(&mailbox), input, side.tally, log);
    (mailbox, task)
}

impl Side for Server {
    type Host = Arc<dyn Dispatch>;

    const TARGET: &'static str = "server";
    const HELD_AS: hold::Side = hold::Side::Server;

    fn open(_: &mut Task<Server>, jobs: Vec<OpenJob>, _: Instant) {
        for job in jobs {
            job.fail(None, Error::new(Code::Unsupported, "a server opens no streams"));
        }
    }

    fn opened(task: &mut Task<Server>, key: StreamKey) {
        let Some(opening) = task.conn.opening(key) else { return };
        let link = task.admit(key, false);
        task.host.dispatch_stream(Incoming { opening, link });
    }

    fn close_send(_: &mut Connection<Server>, _: StreamKey) {}

    fn header(conn: &mut Connection<Server>, key: StreamKey, pairs: &Pairs) {
        // Whoever set them has seen that they fit; a stream that is over needs none.
        let _ = conn.send_header(key, pairs);
    }

    fn finish(conn: &mut Connection<Server>, key: StreamKey, finish: &Finish, trailer: &Pairs, now: Instant) {
        let _ = conn.set_trailer(key, trailer);
        let _ = conn.finish(key, finish, now);
    }

    fn peer_header(conn: &Connection<Server>, key: StreamKey) -> Result<Option<Header>> {
        Ok(conn.header(key).cloned())
    }

    fn peer_trailer(conn: &Connection<Server>, key: StreamKey) -> Result<Option<Header>> {
        Ok(conn.trailer(key).cloned())
    }

    fn given_back(_: &mut Task<Server>) {}

    fn ends(_: &mut Task<Server>) {}

    fn gone(_: &Task<Server>) {}
}
