//! Which service and method take a call: the table of ttheader.md §8.

use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::base::{Error, Result};
use crate::rpc::server::service::{Handler, MethodEntry, Service, StreamEntry};
use crate::rpc::stream::{StreamHandler, StreamHooks, StreamMethodOptions, StreamMode};

/// The services of one server.
pub(super) struct Router {
    services: Vec<Service>,
    by_name: FxHashMap<Box<[u8]>, usize>,
    fallback: Option<usize>,
    rest: CatchAll,
    require_service_name: bool,
}

/// Who takes what no service takes.
#[derive(Default)]
pub(super) struct CatchAll {
    calls: Option<Arc<dyn Handler>>,
    streams: Option<Arc<StreamEntry>>,
}

impl CatchAll {
    pub(super) fn new(
        calls: Option<Arc<dyn Handler>>,
        streams: Option<(Arc<dyn StreamHandler>, StreamMethodOptions)>,
        hooks: StreamHooks,
    ) -> CatchAll {
        // Nothing is known about the method, so the handler gets every message.
        let (mode, service) = (StreamMode::Bidirectional, Bytes::new());
        let entry = |(handler, options)| StreamEntry { handler, mode, options, service, shape: None, hooks };
        CatchAll { calls, streams: streams.map(|given| Arc::new(entry(given))) }
    }
}

/// Who takes a call.
pub(super) enum Route<'a> {
    /// A method.
    Method(&'a Arc<MethodEntry>),
    /// The handler for everything else.
    CatchAll(&'a Arc<dyn Handler>),
    /// The service has no such method: exception 1.
    UnknownMethod,
    /// There is no such service: exception 20.
    UnknownService,
}

/// Who takes a stream.
pub(super) enum StreamRoute<'a> {
    /// A method.
    Method(&'a Arc<StreamEntry>),
    /// The handler for everything else.
    CatchAll(&'a Arc<StreamEntry>),
    /// The method takes calls: exception 6.
    TakesCalls,
    /// The service has no such method: exception 1.
    UnknownMethod,
    /// There is no such service: exception 20.
    UnknownService,
}

impl Router {
    /// Checks that calls without a service name have one answer.
    pub(super) fn new(services: Vec<Service>, rest: CatchAll, require_service_name: bool) -> Result<Router> {
        let mut router =
            Router { by_name: FxHashMap::default(), fallback: None, services, rest, require_service_name };
        for (index, service) in router.services.iter().enumerate() {
            if router.by_name.insert(service.name.as_bytes().into(), index).is_some() {
                let why = format_args!("service {} is registered twice", service.name);
                return Err(Error::invalid_argument("services", why));
            }
            if service.fallback && router.fallback.replace(index).is_some() {
                return Err(Error::invalid_argument("services", "there are two fallback services"));
            }
        }
        if router.services.is_empty() && router.rest.calls.is_none() && router.rest.streams.is_none() {
            return Err(Error::invalid_argument("services", "the server has no service and no catch-all"));
        }
        router.check_conflicts()?;
        Ok(router)
    }

    fn check_conflicts(&self) -> Result<()> {
        if self.require_service_name {
            return Ok(());
        }
        for (index, service) in self.services.iter().enumerate() {
            for method in service.methods.keys().chain(service.streams.keys()) {
                let again = self.services[index + 1..].iter().any(|other| other.has(method));
                let settled = self.fallback.is_some_and(|at| self.services[at].has(method));
                if again && !settled {
                    let method = String::from_utf8_lossy(method);
                    let why = format_args!(
                        "method name [{method}] is conflicted between services but no fallback service is specified"
                    );
                    return Err(Error::invalid_argument("services", why));
                }
            }
        }
        Ok(())
    }

    /// Finds who takes a stream of `method`, by the same table.
    pub(super) fn route_stream(&self, service: &[u8], method: &[u8]) -> StreamRoute<'_> {
        let chosen = self.choose(service, |service| service.streams.contains_key(method));
        let chosen = chosen.or_else(|| self.choose(service, |service| service.methods.contains_key(method)));
        match (chosen.map(|index| &self.services[index]), &self.rest.streams) {
            (Some(service), catch_all) => match (service.streams.get(method), catch_all) {
                (Some(entry), _) => StreamRoute::Method(entry),
                (None, Some(entry)) => StreamRoute::CatchAll(entry),
                (None, None) if service.methods.contains_key(method) => StreamRoute::TakesCalls,
                (None, None) => StreamRoute::UnknownMethod,
            },
            (None, Some(entry)) => StreamRoute::CatchAll(entry),
            (None, None) => StreamRoute::UnknownService,
        }
    }

    /// The service that is asked, of those which have the method.
    fn choose(&self, service: &[u8], has: impl Fn(&Service) -> bool) -> Option<usize> {
        let named = match &self.services[..] {
            // Most servers have one: to compare names is faster than to hash them.
            [only] => (only.name.as_bytes() == service).then_some(0),
            _ => self.by_name.get(service).copied(),
        };
        match (named, self.require_service_name) {
            (Some(index), _) => Some(index),
            (None, true) => None,
            (None, false) if service.is_empty() => self.first_with(has),
            (None, false) => self.only_with(has),
        }
    }

    /// Finds who takes a call for `method` of `service` (empty if the caller named none).
    pub(super) fn route(&self, service: &[u8], method: &[u8]) -> Route<'_> {
        let chosen = self.choose(service, |service| service.methods.contains_key(method));
        match (chosen, &self.rest.calls) {
            (Some(index), catch_all) => match (self.services[index].methods.get(method), catch_all) {
                (Some(entry), _) => Route::Method(entry),
                (None, Some(handler)) => Route::CatchAll(handler),
                (None, None) => Route::UnknownMethod,
            },
            (None, Some(handler)) => Route::CatchAll(handler),
            (None, None) => Route::UnknownService,
        }
    }

    /// Row 3: the fallback service, else the first that has the method.
    fn first_with(&self, has: impl Fn(&Service) -> bool) -> Option<usize> {
        let has = |index: &usize| has(&self.services[*index]);
        self.fallback.filter(has).or_else(|| (0..self.services.len()).find(has))
    }

    /// Rows 5 and 6: the only one that has the method; the fallback gets no preference.
    fn only_with(&self, has: impl Fn(&Service) -> bool) -> Option<usize> {
        let mut having = (0..self.services.len()).filter(|i| has(&self.services[*i]));
        having.next().filter(|_| having.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::server::request::Request;
    use crate::rpc::server::service::MethodOptions;

    fn service(name: &str, methods: &[&str], fallback: bool) -> Service {
        let mut service = Service::new(name).unwrap();
        for method in methods {
            service.add_method(method, MethodOptions::default(), Arc::new(|_: Request| {})).unwrap();
        }
        if fallback {
            service.set_fallback();
        }
        service
    }

    fn two(fallback: bool, catch_all: bool, strict: bool) -> Router {
        let services = vec![service("A", &["a", "both"], fallback), service("B", &["b", "both"], false)];
        let handler: Arc<dyn Handler> = Arc::new(|_: Request| {});
        let calls = catch_all.then_some(handler);
        Router::new(services, CatchAll::new(calls, None, StreamHooks::default()), strict).unwrap()
    }

    fn found(router: &Router, service: &str, method: &str) -> String {
        match router.route(service.as_bytes(), method.as_bytes()) {
            Route::Method(entry) => format!("{}/{method}", String::from_utf8_lossy(&entry.service)),
            Route::CatchAll(_) => "catch-all".into(),
            Route::UnknownMethod => "unknown method".into(),
            Route::UnknownService => "unknown service".into(),
        }
    }

    #[test]
    fn every_row_of_the_table() {
        let router = two(true, false, false);
        let rows = [
            ("", "both", "A/both"),           // 3: fallback has it
            ("", "b", "B/b"),                 // 3: else the first that has it
            ("", "none", "unknown service"),  // 3: else row 7
            ("B", "both", "B/both"),          // 4
            ("B", "a", "unknown method"),     // 4: even if it lacks it
            ("X", "b", "B/b"),                // 5
            ("X", "both", "unknown service"), // 6: two have it
            ("X", "none", "unknown service"), // 6: none has it
        ];
        for (service, method, expected) in rows {
            assert_eq!(found(&router, service, method), expected, "{service}/{method}");
        }
    }

    #[test]
    fn streams_go_by_the_same_table_and_never_to_methods_of_calls() {
        let add = |mut service: Service, method: &str| {
            let handler = Arc::new(|_: crate::rpc::stream::Stream| {});
            let options = StreamMethodOptions::default();
            service.add_stream(method, StreamMode::Bidirectional, options, handler).unwrap();
            service
        };
        let services = || {
            let (a, b) = (service("A", &["a", "both"], true), service("B", &["b"], false));
            vec![add(a, "stream"), add(b, "both")]
        };
        let found = |router: &Router, service: &str, method: &str| match router
            .route_stream(service.as_bytes(), method.as_bytes())
        {
            StreamRoute::Method(entry) => format!("{}/{method}", String::from_utf8_lossy(&entry.service)),
            StreamRoute::CatchAll(_) => "catch-all".into(),
            StreamRoute::TakesCalls => "takes calls".into(),
            StreamRoute::UnknownMethod => "unknown method".into(),
            StreamRoute::UnknownService => "unknown service".into(),
        };
        let rows = [
            ("A", "stream", "A/stream"),
            ("X", "stream", "A/stream"),
            ("", "both", "B/both"), // the fallback's own takes calls
            ("A", "both", "takes calls"),
            ("", "b", "takes calls"),
            ("X", "b", "takes calls"),
            ("B", "stream", "unknown method"),
            ("X", "none", "unknown service"),
        ];
        let router = Router::new(services(), CatchAll::default(), false).unwrap();
        for (service, method, expected) in rows {
            assert_eq!(found(&router, service, method), expected, "{service}/{method}");
        }
        let handler: Arc<dyn StreamHandler> = Arc::new(|_: crate::rpc::stream::Stream| {});
        let rest =
            CatchAll::new(None, Some((handler, StreamMethodOptions::default())), StreamHooks::default());
        let router = Router::new(services(), rest, false).unwrap();
        for (service, method) in [("A", "both"), ("B", "stream"), ("X", "none")] {
            assert_eq!(found(&router, service, method), "catch-all", "{service}/{method}");
        }
        assert_eq!(found(&router, "B", "both"), "B/both");
    }

    #[test]
    fn the_catch_all_takes_the_rest() {
        let router = two(true, true, false);
        for (service, method) in [("", "none"), ("B", "a"), ("X", "both"), ("X", "none")] {
            assert_eq!(found(&router, service, method), "catch-all", "{service}/{method}");
        }
        assert_eq!(found(&router, "B", "b"), "B/b");
    }

    #[test]
    fn strict_servers_take_exact_names_only() {
        let router = two(false, false, true);
        assert_eq!(found(&router, "B", "both"), "B/both");
        for (service, method) in [("", "a"), ("X", "b")] {
            assert_eq!(found(&router, service, method), "unknown service", "{service}/{method}");
        }
    }

    #[test]
    fn conflicts_are_found_at_the_start() {
        let error = |services| Router::new(services, CatchAll::default(), false).err().unwrap().to_string();
        let conflict = error(vec![service("A", &["m"], false), service("B", &["m"], false)]);
        assert!(conflict.contains("method name [m] is conflicted between services"), "{conflict}");
        assert!(error(vec![service("A", &["m"], true), service("B", &[], true)]).contains("two fallback"));
        assert!(error(vec![service("A", &[], false), service("A", &[], false)]).contains("registered twice"));
        assert!(error(vec![]).contains("no service"));
        let settled = vec![service("A", &["m"], false), service("B", &["m"], true)];
        assert!(Router::new(settled, CatchAll::default(), false).is_ok());
    }
}
