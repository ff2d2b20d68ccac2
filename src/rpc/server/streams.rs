//! From a stream that was opened to its handler: route, count, run.

use std::sync::{Arc, Weak};

use crate::base::fault::{self, Point};
use crate::base::log::Log;
use crate::base::panic;
use crate::io::stream::{Dispatch, Incoming};
use crate::io::{inline, runtime::Runtime};
use crate::proto::stream::Finish;
use crate::rpc::server::acl::{AclQuestion, Verdict};
use crate::rpc::server::dispatch::Dispatcher;
use crate::rpc::server::router::StreamRoute;
use crate::rpc::server::service::StreamEntry;
use crate::rpc::stream::{Stream, StreamMode, refusal};

impl Dispatch for Dispatcher {
    fn dispatch_stream(&self, incoming: Incoming) {
        let (service, method) = (incoming.opening.service.clone(), incoming.opening.method.clone());
        let (entry, served) = match self.router.route_stream(&service, &method) {
            StreamRoute::Method(entry) => (Arc::clone(entry), entry.service.clone()),
            StreamRoute::CatchAll(entry) => (Arc::clone(entry), service),
            StreamRoute::TakesCalls => {
                let finish = Finish::not_streaming(&String::from_utf8_lossy(&method));
                return refuse(incoming, finish);
            }
            StreamRoute::UnknownMethod => {
                let finish = Finish::unknown_method(&String::from_utf8_lossy(&method));
                return refuse(incoming, finish);
            }
            StreamRoute::UnknownService => {
                let finish = Finish::unknown_service(&String::from_utf8_lossy(&service));
                return refuse(incoming, finish);
            }
        };
        let Some(permit) = self.in_flight.admit() else {
            return refuse(incoming, refusal("too many requests in flight"));
        };
        let (shape, threads) = (entry.shape.clone(), Weak::clone(&self.runtime));
        let stream = Stream::served(incoming, served, shape, Box::new(permit), threads);
        self.admit_stream(entry, stream);
    }
}

impl Dispatcher {
    /// Asks whether the stream may be handled, and handles it.
    fn admit_stream(&self, entry: Arc<StreamEntry>, stream: Stream) {
        // Without a runtime the connection is about to end as well.
        let Some(runtime) = self.runtime.upgrade() else { return };
        let (log, pool) = (self.log.clone(), Weak::clone(&self.runtime));
        let Some(acl) = &self.terms.acl else { return begin(entry, stream, pool, log) };
        let question = AclQuestion {
            service: stream.service().to_vec().into(),
            method: stream.method().to_vec().into(),
            peer: stream.peer().into(),
            metainfo: stream.metainfo().clone(),
        };
        acl.ask(question, &runtime, move |verdict| match verdict {
            Verdict::Allow => begin(entry, stream, pool, log),
            Verdict::Reject(reason) => {
                let text = format!("request forbidden: {}", String::from_utf8_lossy(&reason));
                let type_id = crate::wire::thrift::ApplicationException::INTERNAL_ERROR;
                let _ = stream.finish(Finish::Exception { type_id, text: text.into() });
            }
        });
    }
}

fn refuse(incoming: Incoming, finish: Finish) {
    let service = incoming.opening.service.clone();
    let _ = Stream::served(incoming, service, None, Box::new(()), Weak::new()).finish(finish);
}

/// Asks the interceptors, reads the request first where there is only one, then calls the handler.
fn begin(entry: Arc<StreamEntry>, stream: Stream, runtime: Weak<Runtime>, log: Log) {
    if !entry.hooks.is_empty() && !stream.tap_served(&entry.hooks) {
        return;
    }
    match entry.mode {
        StreamMode::Server => stream.with_request(move |stream| start(entry, stream, &runtime, log)),
        StreamMode::Client | StreamMode::Bidirectional => start(entry, stream, &runtime, log),
    }
}

fn start(entry: Arc<StreamEntry>, stream: Stream, runtime: &Weak<Runtime>, log: Log) {
    let Some(runtime) = runtime.upgrade() else { return };
    if entry.options.inline {
        let name = String::from_utf8_lossy(stream.method()).into_owned();
        let what = || format!("inline handler of {name}");
        let log_of_run = log.clone();
        return inline::run(&log, "server", what, || run(&log_of_run, &entry, stream));
    }
    // Refused only while the runtime ends: the connection ends with it.
    let _ = runtime.workers().submit(Box::new(move || run(&log, &entry, stream)));
}

/// Runs a handler. A panic ends its stream but not the thread.
fn run(log: &Log, entry: &StreamEntry, stream: Stream) {
    let kept = stream.clone();
    let handled = panic::caught_in("a handler", || {
        fault::panic_at(Point::Handler);
        entry.handler.handle(stream);
    });
    if let Err(error) = handled {
        panic::report(log, "server", &error);
        let [service, method] = [kept.service(), kept.method()].map(String::from_utf8_lossy);
        // It may have finished before.
        let _ = kept.finish(Finish::panicked(&service, &method, error.text()));
    }
}
