//! Many callers at once: each answer must belong to its question.

use std::sync::Arc;

use krpc::rpc::call::{CallOptions, Client};
use krpc::rpc::server::ServerOptions;
use krpc::rpc::{Runtime, RuntimeOptions};

use crate::support::*;

fn storm(client: &Arc<Client>, callers: usize, calls: usize) {
    std::thread::scope(|scope| {
        for caller in 0..callers {
            scope.spawn(move || {
                for call in 0..calls {
                    let question = body(format!("{caller}.{call}").as_bytes());
                    let reply = client.call(&echo(), &question, &CallOptions::default());
                    assert_eq!(reply.error(), None);
                    assert_eq!(reply.message(), Some(&question));
                }
            });
        }
    });
}

#[test]
fn two_hundred_callers_inline_and_on_the_pool() {
    for inline in [true, false] {
        let server = echo_server("127.0.0.1:0", inline);
        for transport in TRANSPORTS {
            let client = Arc::new(client(&server, transport));
            storm(&client, 200, 50);
            assert!(client.stats().dialled <= 200, "{:?}", client.stats());
        }
    }
}

#[test]
fn connections_spread_over_several_shards() {
    let options = RuntimeOptions { io_threads: 3, ..RuntimeOptions::default() };
    let runtime = Runtime::start(&options).unwrap();
    let gate = Arc::new(Gate::default());
    gate.open();
    for address in ["127.0.0.1:0", &unix_path("shards")] {
        let options = ServerOptions { runtime: Some(Arc::clone(&runtime)), ..ServerOptions::default() };
        let server = start_with(options, address, vec![gated_service(&gate)]);
        let client = Arc::new(client(&server, TRANSPORTS[2]));
        let method = krpc::rpc::call::Method::parse("Gate/Wait").unwrap();
        std::thread::scope(|scope| {
            for _ in 0..30 {
                scope.spawn(|| {
                    for _ in 0..20 {
                        let reply = client.call(&method, &body(b"x"), &CallOptions::default());
                        assert_eq!(reply.error(), None);
                    }
                });
            }
        });
        drop(server);
    }
    runtime.shutdown().unwrap();
}
