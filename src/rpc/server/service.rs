//! What a server serves: services with methods, each with a handler.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Error, Result};
use crate::rpc::server::request::Request;

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
}

/// A named service.
pub struct Service {
    pub(super) name: String,
    pub(super) methods: HashMap<Box<[u8]>, Arc<MethodEntry>>,
    pub(super) fallback: bool,
}

impl Service {
    /// A service without methods; `name` as in the IDL.
    pub fn new(name: impl Into<String>) -> Result<Service> {
        let name = name.into();
        if name.is_empty() || name.contains('/') {
            return Err(Error::invalid_argument("name", "a service name is not empty and has no slash"));
        }
        Ok(Service { name, methods: HashMap::new(), fallback: false })
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
        let entry = MethodEntry { handler, options, service };
        if self.methods.contains_key(name.as_bytes()) {
            let why = format_args!("service {} has a method {name} already", self.name);
            return Err(Error::invalid_argument("name", why));
        }
        self.methods.insert(name.as_bytes().into(), Arc::new(entry));
        Ok(())
    }

    /// Makes it the service that takes calls which name none (ttheader.md §8, row 3).
    pub fn set_fallback(&mut self) {
        self.fallback = true;
    }
}
