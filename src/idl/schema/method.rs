//! Services, methods, and how a method is found by name.

use std::fmt;
use std::sync::Arc;

use super::{Annotations, Field, MethodId, NameTable, Schema, SchemaFileId, ServiceId, StructId, TypeId};

/// How many messages a method takes and gives.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Streaming {
    /// No `streaming.mode`: one message each, on every transport.
    None = 0,
    /// `unary`: one message each, on a streaming transport.
    Unary = 1,
    /// `client`: many requests, one response.
    Client = 2,
    /// `server`: one request, many responses.
    Server = 4,
    /// `bidirectional`: many of both.
    Bidirectional = 6,
}

impl Streaming {
    /// The mode of this annotation value.
    pub fn from_name(name: &str) -> Option<Streaming> {
        Some(match name {
            "unary" => Streaming::Unary,
            "client" => Streaming::Client,
            "server" => Streaming::Server,
            "bidirectional" => Streaming::Bidirectional,
            _ => return None,
        })
    }

    /// The annotation value; `none` without one.
    pub const fn name(self) -> &'static str {
        match self {
            Streaming::None => "none",
            Streaming::Unary => "unary",
            Streaming::Client => "client",
            Streaming::Server => "server",
            Streaming::Bidirectional => "bidirectional",
        }
    }

    /// Whether a side sends many messages. They are bare structs then, without the wrapping of
    /// arguments and result.
    pub const fn is_stream(self) -> bool {
        matches!(self, Streaming::Client | Streaming::Server | Streaming::Bidirectional)
    }
}

/// A method.
#[derive(Debug)]
pub struct Method {
    /// Its name on the wire.
    pub name: Arc<str>,
    /// The service that declares it.
    pub service: ServiceId,
    /// Its arguments, as the struct that is on the wire.
    pub arguments: StructId,
    /// Field 0 `success` unless void, and its exceptions. `None` for oneway: there is no answer.
    pub result: Option<StructId>,
    /// The type of the result; `None` for void.
    pub response: Option<TypeId>,
    /// Whether the caller does not wait for an answer.
    pub oneway: bool,
    /// How many messages.
    pub streaming: Streaming,
    /// Annotations.
    pub annotations: Annotations,
    /// Comments.
    pub doc: Option<Arc<str>>,
}

/// A service with what it inherits.
#[derive(Debug)]
pub struct Service {
    /// Its name without a prefix.
    pub name: Arc<str>,
    /// Its file.
    pub file: SchemaFileId,
    /// The service it extends.
    pub base: Option<ServiceId>,
    /// Its own methods in the order written, then those inherited from near to far.
    pub methods: Box<[MethodId]>,
    /// How many of `methods` are its own.
    pub own: usize,
    /// Annotations.
    pub annotations: Annotations,
    /// Comments.
    pub doc: Option<Arc<str>>,
    pub(crate) names: NameTable,
}

/// Why a method was not found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum MethodError {
    /// The main file has no service.
    NoService,
    /// There is no service of this name.
    UnknownService {
        /// What was looked for.
        service: String,
        /// What may have been meant.
        similar: Option<String>,
    },
    /// The service has no such method.
    UnknownMethod {
        /// The service that was searched, or all of them.
        service: Option<String>,
        /// What was looked for.
        method: String,
        /// What may have been meant.
        similar: Option<String>,
    },
    /// Several services have the method, and none of them is the main one.
    Ambiguous(String),
}

impl fmt::Display for MethodError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MethodError::NoService => f.write_str("the IDL's main file has no service"),
            MethodError::UnknownService { service, similar } => {
                write!(f, "missing service: {service}")?;
                similar.as_ref().map_or(Ok(()), |similar| write!(f, "; did you mean {similar}?"))
            }
            MethodError::UnknownMethod { service, method, similar } => {
                write!(f, "missing method: {method}")?;
                if let Some(service) = service {
                    write!(f, " in service: {service}")?;
                }
                similar.as_ref().map_or(Ok(()), |similar| write!(f, "; did you mean {similar}?"))
            }
            MethodError::Ambiguous(name) => {
                write!(f, "several services have a method {name}: write Service/{name}")
            }
        }
    }
}

impl std::error::Error for MethodError {}

/// Which services and methods a bare name can mean.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Those of the main file in order, then all others; a combined one is the very first.
    pub(crate) services: Box<[ServiceId]>,
    pub(crate) service_names: NameTable,
    /// The one whose methods need no service name.
    pub(crate) main: Option<ServiceId>,
    /// Methods of the main file's services: each name once, `None` if several methods have it.
    pub(crate) methods: Box<[(Arc<str>, Option<MethodId>)]>,
    pub(crate) method_names: NameTable,
}

impl Default for NameTable {
    fn default() -> NameTable {
        NameTable::new(std::iter::empty())
    }
}

impl Schema {
    /// The service that stands for the IDL: by default the main file's last (generic.md §11).
    pub fn main_service(&self) -> Option<ServiceId> {
        self.index.main
    }

    /// The service of this name; one of the main file hides others.
    pub fn service_named(&self, name: &str) -> Option<ServiceId> {
        let name_at = |at: usize| self.index.services.get(at).map_or("", |id| &*self.service(*id).name);
        let found = self.index.service_names.find(name, name_at)?;
        self.index.services.get(found).copied()
    }

    /// A service's method, own or inherited.
    pub fn method_of(&self, service: ServiceId, method: &str) -> Option<MethodId> {
        let service = self.service(service);
        let name_at = |at: usize| service.methods.get(at).map_or("", |id| &*self.method(*id).name);
        let found = service.names.find(method, name_at)?;
        service.methods.get(found).copied()
    }

    /// The same, with the reason if there is none.
    pub fn find_method_of(&self, service: ServiceId, method: &str) -> Result<MethodId, MethodError> {
        self.method_of(service, method).ok_or_else(|| self.unknown_method(Some(service), method))
    }

    /// The only argument of a method, which then is the whole request; `None` if it has none or several.
    pub fn only_argument(&self, method: &Method) -> Option<&Field> {
        match self.structure(method.arguments).fields() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// A method by `Service/Method`, or by `Method` alone: then of the main service, else of the only
    /// service of the main file that has it. Allocates only for errors.
    pub fn find_method(&self, path: &str) -> Result<MethodId, MethodError> {
        match path.rsplit_once('/') {
            Some((service, method)) => {
                let found = self.service_named(service);
                self.find_method_of(found.ok_or_else(|| self.unknown_service(service))?, method)
            }
            None => self.find_bare(path),
        }
    }

    fn find_bare(&self, method: &str) -> Result<MethodId, MethodError> {
        let main = self.main_service().ok_or(MethodError::NoService)?;
        if let Some(found) = self.method_of(main, method) {
            return Ok(found);
        }
        let name_at = |at: usize| self.index.methods.get(at).map_or("", |(name, _)| &**name);
        let found = self.index.method_names.find(method, name_at);
        match found.and_then(|at| self.index.methods.get(at)) {
            Some((_, Some(found))) => Ok(*found),
            Some((name, None)) => Err(MethodError::Ambiguous(name.to_string())),
            None => Err(self.unknown_method(None, method)),
        }
    }

    pub(super) fn unknown_service(&self, service: &str) -> MethodError {
        let names = self.index.services.iter().map(|id| &*self.service(*id).name);
        let similar = crate::idl::similar::nearest(service, names).map(str::to_owned);
        MethodError::UnknownService { service: service.to_owned(), similar }
    }

    fn unknown_method(&self, service: Option<ServiceId>, method: &str) -> MethodError {
        let nearest = |names: &mut dyn Iterator<Item = &str>| {
            crate::idl::similar::nearest(method, names).map(str::to_owned)
        };
        let similar = match service {
            Some(id) => nearest(&mut self.service(id).methods.iter().map(|id| &*self.method(*id).name)),
            None => nearest(&mut self.index.methods.iter().map(|(name, _)| &**name)),
        };
        let service = service.map(|id| self.service(id).name.to_string());
        MethodError::UnknownMethod { service, method: method.to_owned(), similar }
    }
}
