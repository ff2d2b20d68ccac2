//! What a server serves: services with methods, each with a handler.

use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use crate::base::{Code, Error, Result};
use crate::codec::CallShape;
use crate::idl::Schema;
use crate::idl::schema::{Method, ServiceId};
use crate::rpc::Runtime;
use crate::rpc::server::crew::{Crew, WorkerOptions};
use crate::rpc::server::request::Request;
use crate::rpc::stream::{StreamHandler, StreamHooks, StreamInterceptor, StreamMethodOptions, StreamMode};

/// Answers requests.
pub trait Handler: Send + Sync {
    /// Takes the request and answers it, now or later, on this thread or another.
    fn handle(&self, request: Request);
}

impl<F: Fn(Request) + Send + Sync> Handler for F {
    fn handle(&self, request: Request) {
        self(request)
    }
}

/// How a method is served.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct MethodOptions {
    /// The method is never answered, whatever the caller's message type says (ttheader.md §4.3).
    pub oneway: bool,
    /// The handler runs on the I/O thread: it must not block, or every connection of that thread waits.
    pub inline: bool,
}

/// A method as the router finds it.
pub(super) struct MethodEntry {
    pub(super) handler: Arc<dyn Handler>,
    pub(super) options: MethodOptions,
    pub(super) service: Bytes,
    pub(super) shape: Option<CallShape>,
    /// Its own threads, or its service's; `None`: the runtime's.
    pub(super) crew: Option<Arc<Crew>>,
}

/// A streaming method as the router finds it.
pub(super) struct StreamEntry {
    pub(super) handler: Arc<dyn StreamHandler>,
    pub(super) mode: StreamMode,
    pub(super) options: StreamMethodOptions,
    pub(super) service: Bytes,
    pub(super) shape: Option<CallShape>,
    /// The server's and the service's, from its start on.
    pub(super) hooks: StreamHooks,
}

/// A named service.
pub struct Service {
    pub(super) name: String,
    /// The host chooses the keys, so nobody else can make them collide.
    pub(super) methods: FxHashMap<Box<[u8]>, Arc<MethodEntry>>,
    pub(super) streams: FxHashMap<Box<[u8]>, Arc<StreamEntry>>,
    pub(super) fallback: bool,
    /// Threads of its own, for all methods but those that have their own.
    workers: Option<WorkerOptions>,
    methods_workers: FxHashMap<Box<[u8]>, WorkerOptions>,
    idl: Option<(Arc<Schema>, ServiceId)>,
    stream_hooks: StreamHooks,
}

impl Service {
    /// A service without methods; `name` as in the IDL.
    pub fn new(name: impl Into<String>) -> Result<Service> {
        let name = name.into();
        if name.is_empty() || name.contains('/') {
            return Err(Error::invalid_argument("name", "a service name is not empty and has no slash"));
        }
        Ok(Service {
            name,
            methods: FxHashMap::default(),
            streams: FxHashMap::default(),
            fallback: false,
            workers: None,
            methods_workers: FxHashMap::default(),
            idl: None,
            stream_hooks: StreamHooks::default(),
        })
    }

    /// A service of an IDL; an empty name means the IDL's main service. It takes the IDL's methods only,
    /// which are oneway if the IDL says so, and whose requests know their shapes.
    pub fn from_schema(schema: &Arc<Schema>, name: &str) -> Result<Service> {
        let id = match name {
            "" => schema.main_service().ok_or_else(|| {
                Error::invalid_argument("name", "is empty, and the IDL's main file has no service")
            })?,
            name => schema.find_service(name).map_err(|error| Error::invalid_argument("name", error))?,
        };
        let mut service = Service::new(&*schema.service(id).name)?;
        service.idl = Some((Arc::clone(schema), id));
        Ok(service)
    }

    /// Adds a method. A name can be added once.
    pub fn add_method(
        &mut self,
        name: &str,
        options: MethodOptions,
        handler: Arc<dyn Handler>,
    ) -> Result<()> {
        if name.is_empty() {
            return Err(Error::invalid_argument("name", "a method name is not empty"));
        }
        let service = Bytes::copy_from_slice(self.name.as_bytes());
        self.expect_new(name)?;
        let shape = self.shape_of(name)?;
        let oneway = options.oneway || shape.as_ref().is_some_and(|shape| shape.method().oneway);
        if let Some(shape) = shape.as_ref().filter(|shape| oneway && !shape.method().oneway) {
            let why = format_args!("{} is not oneway in the IDL", shape.method().name);
            return Err(Error::invalid_argument("flags", why));
        }
        let options = MethodOptions { oneway, ..options };
        let entry = MethodEntry { handler, options, service, shape, crew: None };
        self.methods.insert(name.as_bytes().into(), Arc::new(entry));
        Ok(())
    }

    /// Adds a method that streams. A name can be added once, as a stream or as a call.
    pub fn add_stream(
        &mut self,
        name: &str,
        mode: StreamMode,
        options: StreamMethodOptions,
        handler: Arc<dyn StreamHandler>,
    ) -> Result<()> {
        if name.is_empty() {
            return Err(Error::invalid_argument("name", "a method name is not empty"));
        }
        self.expect_new(name)?;
        let shape = self.stream_shape(name, mode)?;
        let service = Bytes::copy_from_slice(self.name.as_bytes());
        let hooks = StreamHooks::default();
        let entry = StreamEntry { handler, mode, options, service, shape, hooks };
        self.streams.insert(name.as_bytes().into(), Arc::new(entry));
        Ok(())
    }

    fn expect_new(&self, name: &str) -> Result<()> {
        if self.methods.contains_key(name.as_bytes()) || self.streams.contains_key(name.as_bytes()) {
            let why = format_args!("service {} has a method {name} already", self.name);
            return Err(Error::invalid_argument("name", why));
        }
        Ok(())
    }

    /// What the IDL says of a method that streams so; `None` without an IDL.
    fn stream_shape(&self, name: &str, mode: StreamMode) -> Result<Option<CallShape>> {
        let Some(shape) = self.find_shape(name)? else { return Ok(None) };
        match StreamMode::of(shape.method().streaming) == Some(mode) {
            true => Ok(Some(shape)),
            false => {
                Err(Error::invalid_argument("mode", format_args!("{name} does not stream so in the IDL")))
            }
        }
    }

    /// Adds every method of the IDL that was not added yet, except those that stream. Fails if the service
    /// was not made from an IDL.
    pub fn add_other_methods(&mut self, options: MethodOptions, handler: &Arc<dyn Handler>) -> Result<()> {
        self.for_others(|service, method| match method.streaming.is_stream() {
            true => Ok(()),
            false => service.add_method(&method.name, options, Arc::clone(handler)),
        })
    }

    /// Adds every method of the IDL that streams and was not added yet; the handler finds mode and shapes
    /// with [`Stream::shape`](crate::rpc::stream::Stream::shape). Fails if the service was not made from an
    /// IDL.
    pub fn add_other_streams(
        &mut self,
        options: StreamMethodOptions,
        handler: &Arc<dyn StreamHandler>,
    ) -> Result<()> {
        self.for_others(|service, method| match StreamMode::of(method.streaming) {
            None => Ok(()),
            Some(mode) => service.add_stream(&method.name, mode, options, Arc::clone(handler)),
        })
    }

    fn for_others(&mut self, mut add: impl FnMut(&mut Service, &Method) -> Result<()>) -> Result<()> {
        let Some((schema, id)) = self.idl.clone() else {
            let text = format!("service {} was not made from an IDL", self.name);
            return Err(Error::new(Code::InvalidState, text));
        };
        let methods = schema.service(id).methods.iter().map(|id| schema.method(*id));
        methods
            .filter(|method| !self.has(method.name.as_bytes()))
            .collect::<Vec<_>>()
            .into_iter()
            .try_for_each(|method| add(self, method))
    }

    fn find_shape(&self, name: &str) -> Result<Option<CallShape>> {
        let Some((schema, id)) = &self.idl else { return Ok(None) };
        let found =
            schema.find_method_of(*id, name).map_err(|error| Error::invalid_argument("name", error))?;
        Ok(Some(CallShape::new(schema, found)))
    }

    fn shape_of(&self, name: &str) -> Result<Option<CallShape>> {
        let shape = self.find_shape(name)?;
        shape.as_ref().map_or(Ok(()), CallShape::expect_unary)?;
        Ok(shape)
    }

    /// Gives the handlers of a method threads of their own, or those of all methods that have none and are not
    /// inline (`method` is empty): slow ones then keep no others waiting. A later call replaces an earlier one.
    pub fn set_workers(&mut self, method: &str, options: WorkerOptions) -> Result<()> {
        options.check()?;
        if method.is_empty() {
            self.workers = Some(options);
            return Ok(());
        }
        let why = match self.methods.get(method.as_bytes()) {
            None => format!("service {} has no method {method} yet", self.name),
            Some(entry) if entry.options.inline => format!("{method} is inline: it uses no worker threads"),
            Some(_) => {
                self.methods_workers.insert(method.as_bytes().into(), options);
                return Ok(());
            }
        };
        Err(Error::invalid_argument("method", why))
    }

    /// Makes the pools. The methods are nobody else's yet.
    pub(super) fn start_workers(&mut self, runtime: &Runtime) {
        let shared = self.workers.map(|options| Crew::start(options, runtime));
        for (name, entry) in &mut self.methods {
            let own = self.methods_workers.get(name).map(|options| Crew::start(*options, runtime));
            if let Some(entry) = Arc::get_mut(entry).filter(|entry| !entry.options.inline) {
                entry.crew = own.or_else(|| shared.clone());
            }
        }
    }

    /// Adds one that stands around the streams of all its methods, inside those of the server.
    pub fn add_stream_interceptor(&mut self, interceptor: Arc<dyn StreamInterceptor>) {
        self.stream_hooks.interceptors.push(interceptor);
    }

    /// Settles who stands around its streams. The methods are nobody else's yet.
    pub(super) fn set_stream_hooks(&mut self, server: &StreamHooks) {
        let all = server.around(&self.stream_hooks);
        for entry in self.streams.values_mut().filter_map(Arc::get_mut) {
            entry.hooks = all.clone();
        }
    }

    /// Whether it has a method of this name, of either kind.
    pub(super) fn has(&self, method: &[u8]) -> bool {
        self.methods.contains_key(method) || self.streams.contains_key(method)
    }

    /// Makes it the service that takes calls which name none (ttheader.md §8, row 3).
    pub fn set_fallback(&mut self) {
        self.fallback = true;
    }
}
