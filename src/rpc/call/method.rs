//! A method that is called often: prepared once, so that calls hash and copy no names.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::base::{Code, Error, Result};
use crate::codec::CallShape;
use crate::idl::Schema;
use crate::rpc::stream::StreamMode;

/// A method of a service. Cloning shares it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Method {
    names: Arc<Names>,
    oneway: bool,
    shape: Option<CallShape>,
}

#[derive(PartialEq, Eq, Debug)]
struct Names {
    full: String,
    service: String,
    name: String,
    wire_name: Bytes,
}

impl Method {
    /// From `Service/Method`, or from `Method` alone, which leaves the service to the server (it then
    /// takes its fallback service, or the first that has the method). Two-way.
    pub fn parse(text: &str) -> Result<Method> {
        let (service, name) = text.split_once('/').unwrap_or(("", text));
        if name.is_empty() || name.contains('/') || (service.is_empty() && text.contains('/')) {
            let why = format!("`{text}` is not a method; write Service/Method or Method");
            return Err(Error::invalid_argument("method", why));
        }
        let names = Names {
            full: text.to_owned(),
            service: service.to_owned(),
            name: name.to_owned(),
            wire_name: Bytes::copy_from_slice(name.as_bytes()),
        };
        Ok(Method { names: Arc::new(names), oneway: false, shape: None })
    }

    /// A method of an IDL, found as [`Schema::find_method`] does, to be called or to be streamed as the IDL has it:
    /// see [`Method::mode`].
    pub fn of_schema(schema: &Arc<Schema>, path: &str) -> Result<Method> {
        Method::of_shape(schema, path, CallShape::find(schema, path)?)
    }

    /// A method of an IDL, found as [`Schema::find_method`] does; oneway if the IDL says so. Streaming
    /// methods are UNSUPPORTED.
    pub fn from_schema(schema: &Arc<Schema>, path: &str) -> Result<Method> {
        let shape = CallShape::find(schema, path)?;
        shape.expect_unary()?;
        Method::of_shape(schema, path, shape)
    }

    /// A streaming method of an IDL, found as [`Schema::find_method`] does, and which sides stream. Others
    /// are UNSUPPORTED: `not a streaming method`.
    pub fn stream_from_schema(schema: &Arc<Schema>, path: &str) -> Result<(Method, StreamMode)> {
        let shape = CallShape::find(schema, path)?;
        let Some(mode) = StreamMode::of(shape.method().streaming) else {
            let text = format!("{} is not a streaming method", shape.method().name);
            return Err(Error::new(Code::Unsupported, text));
        };
        Ok((Method::of_shape(schema, path, shape)?, mode))
    }

    fn of_shape(schema: &Arc<Schema>, path: &str, shape: CallShape) -> Result<Method> {
        let found = shape.method();
        let main = schema.main_service().filter(|main| schema.method_of(*main, &found.name).is_some());
        let service = match path.rsplit_once('/') {
            Some((service, _)) => service,
            None => &schema.service(main.unwrap_or(found.service)).name,
        };
        let method = Method::parse(&format!("{service}/{}", found.name))?;
        let oneway = found.oneway;
        Ok(Method { oneway, shape: Some(shape), ..method })
    }

    /// The same method as one that is never answered.
    pub fn oneway(mut self) -> Method {
        self.oneway = true;
        self
    }

    /// The service's IDL name; empty if it is left to the server.
    pub fn service(&self) -> &str {
        &self.names.service
    }

    /// The method's name.
    pub fn name(&self) -> &str {
        &self.names.name
    }

    /// Whether it is never answered.
    pub fn is_oneway(&self) -> bool {
        self.oneway
    }

    /// Which sides stream, if the IDL says so. Other methods may be called or streamed.
    pub fn mode(&self) -> Option<StreamMode> {
        self.shape.as_ref().and_then(|shape| StreamMode::of(shape.method().streaming))
    }

    /// Refuses to be called, UNSUPPORTED, if the IDL says that it streams.
    pub(super) fn expect_unary(&self) -> Result<()> {
        self.shape.as_ref().map_or(Ok(()), CallShape::expect_unary)
    }

    /// Refuses to be opened, UNSUPPORTED, if the IDL says that it does not stream.
    pub(super) fn expect_stream(&self) -> Result<()> {
        match self.shape.is_some() && self.mode().is_none() {
            true => Err(Error::new(Code::Unsupported, format!("{self} is not a streaming method"))),
            false => Ok(()),
        }
    }

    /// What the IDL says of its messages, if it was made from one.
    pub fn shape(&self) -> Option<&CallShape> {
        self.shape.as_ref()
    }

    pub(super) fn wire_name(&self) -> &Bytes {
        &self.names.wire_name
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::idl::{MemoryProvider, Options, compile};

    #[test]
    fn names_split_at_the_one_slash() {
        let method = Method::parse("Chat/Say").unwrap();
        assert_eq!((method.service(), method.name(), method.is_oneway()), ("Chat", "Say", false));
        assert_eq!(Method::parse("Say").unwrap().oneway().service(), "");
        for text in ["", "/", "Chat/", "/Say", "a/b/c"] {
            assert!(Method::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_idl_knows_service_and_oneway() {
        let idl = "struct Text { 1: string text } service Base { oneway void Note(1: string text) }
            service Chat extends Base {
                string Say(1: string text)
                Text Hear(1: Text text) (streaming.mode = 'server')
            }";
        let files = MemoryProvider::new().file("chat.thrift", idl);
        let schema = compile("chat.thrift", &files, &Options::default()).into_schema().unwrap();
        for (path, full, oneway) in [
            ("Say", "Chat/Say", false),
            ("Chat/Say", "Chat/Say", false),
            ("Note", "Chat/Note", true),
            ("Base/Note", "Base/Note", true),
        ] {
            let method = Method::from_schema(&schema, path).unwrap();
            assert_eq!((method.to_string().as_str(), method.is_oneway()), (full, oneway));
            assert!(method.shape().is_some());
        }
        let error = Method::from_schema(&schema, "Chat/Sya2").unwrap_err();
        assert_eq!(error.text(), "method: missing method: Sya2 in service: Chat");
        let error = Method::from_schema(&schema, "Chta/Say").unwrap_err();
        assert_eq!(error.text(), "method: missing service: Chta; did you mean Chat?");
        let error = Method::from_schema(&schema, "Hear").unwrap_err();
        assert_eq!(error.text(), "Hear is a streaming method (server)");
        let (method, mode) = Method::stream_from_schema(&schema, "Hear").unwrap();
        assert_eq!((method.to_string().as_str(), mode), ("Chat/Hear", StreamMode::Server));
        let error = Method::stream_from_schema(&schema, "Say").unwrap_err();
        assert_eq!(error.text(), "Say is not a streaming method");
        assert_eq!(method.expect_unary().unwrap_err().text(), "Hear is a streaming method (server)");
        assert_eq!((method.mode(), method.expect_stream()), (Some(mode), Ok(())));
        let say = Method::from_schema(&schema, "Say").unwrap();
        assert_eq!((say.mode(), say.expect_unary()), (None, Ok(())));
        assert_eq!(say.expect_stream().unwrap_err().text(), "Chat/Say is not a streaming method");
        Method::parse("Say").unwrap().expect_stream().unwrap();
    }
}
