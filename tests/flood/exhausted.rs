//! A process without descriptors.

use std::time::Duration;

use krpc::base::{Code, Phase};
use krpc::op::operation;
use krpc::rpc::call::{CallOptions, Client, Start, Transport};

use crate::support::*;
use crate::{assert_calls, connect, turn, until};

/// No new descriptors until it is dropped.
struct NoDescriptors(libc::rlimit);

impl NoDescriptors {
    fn now() -> NoDescriptors {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: both take a valid struct; open descriptors stay open.
        unsafe {
            assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit), 0);
            let none = libc::rlimit { rlim_cur: 3, ..limit };
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &none), 0);
        }
        NoDescriptors(limit)
    }
}

impl Drop for NoDescriptors {
    fn drop(&mut self) {
        // SAFETY: as above.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &self.0) }, 0);
    }
}

fn started(client: &std::sync::Arc<Client>) -> krpc::rpc::call::Reply {
    let (operation, completer) = operation::new(None);
    client.prepare().unwrap();
    client.start([Start {
        method: &echo(),
        message: &body(b"x"),
        options: CallOptions::default(),
        completer,
    }]);
    assert!(operation.wait(Some(Duration::from_secs(30))), "it never ends");
    operation.take().unwrap()
}

#[test]
fn a_client_says_so_and_goes_on_when_there_are_some() {
    let _turn = turn();
    let server = echo_server("127.0.0.1:0", true);
    let there = client(&server, Transport::Ttheader);
    let newcomer = client(&server, Transport::Ttheader);
    assert_calls(&there);
    assert_eq!(started(&there).error(), None);
    // A started call keeps the connection that it has found for others of its kind.
    assert_calls(&there);
    assert_eq!(newcomer.prepare().map_err(|error| error.code()), Ok(()));
    {
        let _none = NoDescriptors::now();
        for _ in 0..3 {
            for reply in [newcomer.call(&echo(), &body(b"x"), &CallOptions::default()), started(&newcomer)] {
                let error = reply.error().expect("no descriptor, no connection");
                assert_eq!((error.code(), error.phase()), (Code::OutOfResources, Phase::Connect), "{error}");
                assert!(error.peer().is_some() && error.method().is_some(), "{error}");
            }
            assert_calls(&there);
        }
    }
    assert_calls(&newcomer);
    assert_eq!(started(&newcomer).error(), None);
}

#[test]
fn a_server_accepts_again_when_there_are_some() {
    let _turn = turn();
    let server = echo_server("127.0.0.1:0", true);
    let there = client(&server, Transport::Ttheader);
    assert_calls(&there);
    // Connected by the system, not yet accepted: the descriptor of our end is made before.
    let waiting: Vec<socket2::Socket> = (0..3)
        .map(|_| socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap())
        .collect();
    let krpc::rpc::Address::Ip(address) = server.addresses()[0] else { panic!("not TCP") };
    {
        let _none = NoDescriptors::now();
        for socket in &waiting {
            socket.connect(&address.into()).unwrap();
        }
        assert_calls(&there);
        assert_eq!(server.connection_count(), 1);
    }
    until("those that waited are accepted", || server.connection_count() == 4);
    drop(waiting);
    until("they are gone", || server.connection_count() == 1);
    drop(connect(&server));
    assert_calls(&there);
}
