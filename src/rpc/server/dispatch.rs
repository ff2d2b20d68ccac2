//! From a decoded request to its handler: route, count, run.

use std::sync::{Arc, Weak};

use bytes::Bytes;

use crate::base::fault::{self, Point};
use crate::base::log::Log;
use crate::base::panic;
use crate::codec::CallShape;
use crate::io::runtime::Runtime;
use crate::io::{Dispatch, Responder, inline};
use crate::proto::pingpong::{Answer, Exception};
use crate::rpc::server::acl::{Acl, AclQuestion, Verdict};
use crate::rpc::server::crew::Crew;
use crate::rpc::server::in_flight::{InFlight, Permit};
use crate::rpc::server::request::{Admission, Request};
use crate::rpc::server::router::{Route, Router};
use crate::rpc::server::service::{Handler, MethodOptions};
use crate::wire::frame::Inbound;
use crate::wire::thrift::{ApplicationException, MessageType};
use crate::wire::ttheader::Header;

/// What holds for all requests of a server.
pub(super) struct Terms {
    pub(super) acl: Option<Acl>,
    pub(super) follow_caller_timeout: bool,
}

/// Hands a server's requests to its handlers.
pub(super) struct Dispatcher {
    pub(super) router: Router,
    pub(super) terms: Terms,
    pub(super) in_flight: Arc<InFlight>,
    // The runtime owns the connections, which own the dispatcher.
    pub(super) runtime: Weak<Runtime>,
    pub(super) log: Log,
}

/// Who takes a request.
struct Target<'a> {
    way: Way<'a>,
    oneway: bool,
    service: Bytes,
    shape: Option<CallShape>,
}

/// How a request reaches its handler.
#[derive(Clone, Copy)]
struct Way<'a> {
    handler: &'a Arc<dyn Handler>,
    inline: bool,
    crew: Option<&'a Arc<Crew>>,
}

impl Dispatcher {
    pub(super) fn new(
        router: Router,
        terms: Terms,
        max_in_flight: usize,
        runtime: &Arc<Runtime>,
    ) -> Dispatcher {
        Dispatcher {
            router,
            terms,
            in_flight: InFlight::new(max_in_flight),
            runtime: Arc::downgrade(runtime),
            log: runtime.log().clone(),
        }
    }

    pub(super) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// The method that takes a call, or the exception that says why none does (ttheader.md §8).
    fn find(&self, inbound: &Inbound) -> Result<Target<'_>, (i32, String)> {
        let header = inbound.header.as_ref();
        let named = header.and_then(Header::service).unwrap_or_default();
        let lossy = || [named, &inbound.name].map(String::from_utf8_lossy);
        match self.router.route(named, &inbound.name) {
            Route::Method(entry) => Ok(Target {
                way: Way { handler: &entry.handler, inline: entry.options.inline, crew: entry.crew.as_ref() },
                oneway: entry.options.oneway,
                service: entry.service.clone(),
                shape: entry.shape.clone(),
            }),
            Route::CatchAll(handler) => Ok(Target {
                way: Way { handler, inline: MethodOptions::default().inline, crew: None },
                // Nothing is known about the method, so the message's own type decides.
                oneway: inbound.kind == MessageType::Oneway,
                service: Bytes::copy_from_slice(named),
                shape: None,
            }),
            Route::UnknownMethod => {
                let [service, method] = lossy();
                let text = format!("unknown method {method} (service {service})");
                Err((ApplicationException::UNKNOWN_METHOD, text))
            }
            Route::UnknownService => {
                let [service, method] = lossy();
                let text = format!("unknown service {service}, method {method}");
                Err((ApplicationException::UNKNOWN_SERVICE, text))
            }
        }
    }

    /// Places in flight, or what has too many requests. A method's own limit comes first: what it refuses takes
    /// no place from others.
    fn permits(&self, crew: Option<&Arc<Crew>>) -> Result<(Permit, Option<Permit>), &'static str> {
        let own = match crew {
            Some(crew) => Some(crew.admit().ok_or("of this method or service ")?),
            None => None,
        };
        Ok((self.in_flight.admit().ok_or("")?, own))
    }

    /// Asks whether the request may be handled, and handles it.
    fn admit(&self, way: Way<'_>, request: &mut Handed) {
        // Without a runtime the connection is about to end as well.
        let Some(runtime) = self.runtime.upgrade() else { return };
        let Some(acl) = &self.terms.acl else { return start(&self.log, way, &runtime, request) };
        let Some(request) = request.take() else { return };
        let (log, pool) = (self.log.clone(), Weak::clone(&self.runtime));
        let question = AclQuestion {
            service: request.service_name(),
            method: request.method_name(),
            peer: request.peer_name(),
            metainfo: request.metainfo().clone(),
        };
        let (handler, inline, crew) = (Arc::clone(way.handler), way.inline, way.crew.cloned());
        acl.ask(question, &runtime, move |verdict| match (verdict, pool.upgrade()) {
            (Verdict::Reject(reason), _) => request.forbid(&reason),
            (Verdict::Allow, Some(runtime)) => {
                let way = Way { handler: &handler, inline, crew: crew.as_ref() };
                start(&log, way, &runtime, &mut Some(request));
            }
            (Verdict::Allow, None) => {}
        });
    }
}

impl Dispatch for Dispatcher {
    fn dispatch(&self, inbound: Inbound, responder: Responder) {
        let target = match self.find(&inbound) {
            Ok(target) => target,
            Err((type_id, text)) => return send(responder, exception(type_id, text, true)),
        };
        let Target { way, oneway, service, shape } = target;
        match self.permits(way.crew) {
            Ok(permits) => {
                let admission = Admission { permits, shape, log: self.log.clone() };
                let mut request = Request::new(service, inbound, responder, oneway, admission);
                if self.terms.follow_caller_timeout {
                    request.follow_caller_timeout();
                }
                self.admit(way, &mut Some(request));
            }
            Err(_) if oneway => send(responder, Answer::Oneway),
            Err(what) => {
                let text = format!("request over limit: too many requests {what}in flight");
                send(responder, exception(ApplicationException::INTERNAL_ERROR, text, false));
            }
        }
    }
}

/// A request on its way to its handler, which takes it: it is large, and would be copied at each step.
type Handed = Option<Request>;

fn start(log: &Log, way: Way<'_>, runtime: &Runtime, request: &mut Handed) {
    if way.inline {
        let name = request.as_ref().map(Request::method_name).unwrap_or_default();
        let what = || format!("inline handler of {}", String::from_utf8_lossy(&name));
        return inline::run(log, "server", what, || run(log, &**way.handler, request));
    }
    let (log, handler) = (log.clone(), Arc::clone(way.handler));
    let mut request = request.take();
    let job = Box::new(move || run(&log, &*handler, &mut request));
    // Refused only while the runtime ends: the connection ends with it.
    let _ = match way.crew {
        Some(crew) => crew.submit(job),
        None => runtime.workers().submit(job),
    };
}

/// Runs a handler. A panic ends the request, which answers it, but not the thread.
fn run(log: &Log, handler: &dyn Handler, request: &mut Handed) {
    let handled = panic::caught_in("a handler", || {
        // Taken first: whatever panics in here ends the request.
        let Some(request) = request.take() else { return };
        fault::panic_at(Point::Handler);
        handler.handle(request);
    });
    if let Err(error) = handled {
        panic::report(log, "server", &error);
    }
}

fn exception(type_id: i32, text: String, close: bool) -> Answer {
    Answer::Exception(Exception { type_id, text: text.into(), close })
}

fn send(responder: Responder, answer: Answer) {
    // A caller that is gone needs no answer.
    let _ = responder.send(answer.into());
}
