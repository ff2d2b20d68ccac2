//! From a decoded request to its handler: route, count, run.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::base::log::{Level, Log};
use crate::io::runtime::Runtime;
use crate::io::{Dispatch, Responder};
use crate::proto::pingpong::{Answer, Exception};
use crate::rpc::server::request::{Permit, Request};
use crate::rpc::server::router::{Route, Router};
use crate::rpc::server::service::{Handler, MethodOptions};
use crate::wire::frame::Inbound;
use crate::wire::keys;
use crate::wire::thrift::{ApplicationException, MessageType};

/// Hands a server's requests to its handlers.
pub(super) struct Dispatcher {
    router: Router,
    in_flight: Arc<AtomicUsize>,
    max_in_flight: usize,
    // The runtime owns the connections, which own the dispatcher.
    runtime: Weak<Runtime>,
    log: Log,
}

impl Dispatcher {
    pub(super) fn new(router: Router, max_in_flight: usize, runtime: &Arc<Runtime>) -> Dispatcher {
        Dispatcher {
            router,
            in_flight: Arc::new(AtomicUsize::new(0)),
            max_in_flight,
            runtime: Arc::downgrade(runtime),
            log: runtime.log().clone(),
        }
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    fn start(&self, handler: Arc<dyn Handler>, inline: bool, request: Request) {
        if inline {
            return run(&self.log, &*handler, request);
        }
        // Without a runtime the connection is about to end as well.
        let Some(runtime) = self.runtime.upgrade() else { return };
        let log = self.log.clone();
        runtime.workers().submit(Box::new(move || run(&log, &*handler, request)));
    }
}

impl Dispatch for Dispatcher {
    fn dispatch(&self, inbound: Inbound, responder: Responder) {
        let header = inbound.header.as_ref();
        let named = header.and_then(|header| header.string(keys::IDL_SERVICE_NAME)).unwrap_or_default();
        let (handler, options, service) = match self.router.route(named, &inbound.name) {
            Route::Method(entry) => (Arc::clone(&entry.handler), entry.options, entry.service.clone()),
            Route::CatchAll(handler) => {
                // Nothing is known about the method, so the message's own type decides.
                let oneway = inbound.kind == MessageType::Oneway;
                let options = MethodOptions { oneway, ..MethodOptions::default() };
                (Arc::clone(handler), options, Bytes::copy_from_slice(named))
            }
            Route::UnknownMethod => {
                let [service, method] = lossy([named, &inbound.name]);
                return refuse(
                    responder,
                    ApplicationException::UNKNOWN_METHOD,
                    format!("unknown method {method} (service {service})"),
                );
            }
            Route::UnknownService => {
                let [service, method] = lossy([named, &inbound.name]);
                return refuse(
                    responder,
                    ApplicationException::UNKNOWN_SERVICE,
                    format!("unknown service {service}, method {method}"),
                );
            }
        };
        match Permit::take(&self.in_flight, self.max_in_flight) {
            Some(permit) => {
                let request = Request::new(service, inbound, responder, options.oneway, permit);
                self.start(handler, options.inline, request);
            }
            None if options.oneway => send(responder, Answer::Oneway),
            None => {
                let text = "request over limit: too many requests in flight".into();
                send(
                    responder,
                    Answer::Exception(Exception {
                        type_id: ApplicationException::INTERNAL_ERROR,
                        text,
                        close: false,
                    }),
                );
            }
        }
    }
}

/// Runs a handler. A panic ends the request, which answers it, but not the thread.
fn run(log: &Log, handler: &dyn Handler, request: Request) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| handler.handle(request))) {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        log.write(Level::Error, "server", format_args!("panic in a handler: {}", text.unwrap_or("unknown")));
    }
}

fn lossy(names: [&[u8]; 2]) -> [Cow<'_, str>; 2] {
    names.map(String::from_utf8_lossy)
}

/// Says no and ends the connection (X-CLOSE).
fn refuse(responder: Responder, type_id: i32, text: String) {
    send(responder, Answer::Exception(Exception { type_id, text: text.into(), close: true }));
}

fn send(responder: Responder, answer: Answer) {
    // A caller that is gone needs no answer.
    let _ = responder.send(answer.into());
}
