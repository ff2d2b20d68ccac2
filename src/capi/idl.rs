//! `krpc_idl`: a Thrift IDL, read at run time.

use std::sync::Arc;

use crate::base::{Code, Encoding, Error, Message, Result};
use crate::capi::error::krpc_error;
use crate::capi::guard::{guard, guard_new, guard_or};
use crate::capi::handle::{self, Opaque};
use crate::capi::message::krpc_message;
use crate::capi::shape::krpc_shape;
use crate::capi::status::krpc_status;
use crate::capi::types::{SizedStruct, krpc_str, write_sized};
use crate::codec::{CallShape, Shape};
use crate::idl::schema::{Method, ServiceId, Streaming};
use crate::idl::{Compiled, FileProvider, MemoryProvider, Options, Schema, Style, compile, dump, template};
use crate::observe::handles::Kind;

/// A Thrift IDL with all that it includes: checked, immutable, shared by threads. What is made from it
/// (shapes, methods, services) keeps what it needs. Free it with `krpc_idl_free`.
///
/// Services, methods and structs are named as in the main file: `Chat`, `Chat/Say`, `Message`, and
/// `base.Base` for a struct of `base.thrift`.
pub struct krpc_idl {
    _opaque: [u8; 0],
}

impl Opaque for krpc_idl {
    type Inner = Idl;
    const KIND: Kind = Kind::Idl;
}

/// The core's schema, and what there was to say about it.
pub(super) struct Idl {
    pub(super) schema: Arc<Schema>,
    warnings: String,
}

/// A file of an IDL that is in memory. Has no more fields in later versions.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_idl_file {
    /// Its path, as other files include it; UTF-8.
    pub name: krpc_str,
    /// What is in it.
    pub text: krpc_str,
}

/// How many messages a method takes and gives.
#[repr(i32)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum krpc_streaming {
    /// One message each, on every transport.
    KRPC_STREAMING_NONE = 0,
    /// One message each, on a streaming transport.
    KRPC_STREAMING_UNARY = 1,
    /// Many requests, one response.
    KRPC_STREAMING_CLIENT = 2,
    /// One request, many responses.
    KRPC_STREAMING_SERVER = 4,
    /// Many of both.
    KRPC_STREAMING_BIDIRECTIONAL = 6,
}

/// What an IDL says of a method. Texts are borrowed from the `krpc_idl`. Sized struct: start from
/// `KRPC_METHOD_INFO_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct krpc_method_info {
    /// `sizeof(krpc_method_info)` as the caller was compiled.
    pub struct_size: usize,
    /// Its name.
    pub name: krpc_str,
    /// The service that declares it: another one than was asked for if it is inherited.
    pub service: krpc_str,
    /// The type of its only argument, as written; empty if it has none or several.
    pub request: krpc_str,
    /// The type of its result, as written; "void" if it has none.
    pub result: krpc_str,
    /// How many messages: a `krpc_streaming`.
    pub streaming: i32,
    /// 1 if it is never answered, else 0.
    pub oneway: u32,
    /// Number of arguments.
    pub argument_count: u32,
    /// Number of exceptions that it declares.
    pub exception_count: u32,
}

impl Default for krpc_method_info {
    fn default() -> krpc_method_info {
        krpc_method_info {
            struct_size: 0,
            name: krpc_str::EMPTY,
            service: krpc_str::EMPTY,
            request: krpc_str::EMPTY,
            result: krpc_str::EMPTY,
            streaming: 0,
            oneway: 0,
            argument_count: 0,
            exception_count: 0,
        }
    }
}

// SAFETY: repr(C), `struct_size` first; integers and views.
unsafe impl SizedStruct for krpc_method_info {}

/// Reads an IDL from files.
///
/// `path`: the main file. `include_dirs`: `count` directories in which includes are looked for, after the
/// working directory and that of the including file. UTF-8, borrowed for the call.
/// Returns an owned IDL, or NULL and an error, whose text shows every mistake with its file, line and
/// column, over several lines.
///
/// Thread: any thread that may block. Errors: INVALID_ARGUMENT, IDL_INVALID. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_parse_file(
    path: krpc_str,
    include_dirs: *const krpc_str,
    count: usize,
    error: *mut *mut krpc_error,
) -> *mut krpc_idl {
    guard_new(error, || {
        // SAFETY: the host vouches for the views.
        let (path, directories) =
            unsafe { (path.text("path")?, handle::slice(include_dirs, count, "include_dirs")?) };
        let mut files = FileProvider::new();
        for directory in directories {
            // SAFETY: as above.
            files = files.search(unsafe { directory.text("include_dirs")? });
        }
        give(compile(path, &files, &Options::default()))
    })
}

/// Reads an IDL that is in memory.
///
/// `files`: `count` files, borrowed for the call. An include is looked for beside the including file, then
/// as it is written. `main`: the name of the main file; empty for the first.
/// Returns an owned IDL, or NULL and an error, as `krpc_idl_parse_file`.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT, IDL_INVALID. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_parse_memory(
    files: *const krpc_idl_file,
    count: usize,
    main: krpc_str,
    error: *mut *mut krpc_error,
) -> *mut krpc_idl {
    guard_new(error, || {
        // SAFETY: the host vouches for the array and the view.
        let (files, main) = unsafe { (handle::slice(files, count, "files")?, main.text("main")?) };
        let first = files.first().ok_or_else(|| Error::invalid_argument("count", "there is no file"))?;
        let mut provider = MemoryProvider::new();
        for file in files {
            // SAFETY: the host vouches for the views of each.
            let (name, text) = unsafe { (file.name.text("files.name")?, file.text.bytes("files.text")?) };
            provider = provider.file(name, text);
        }
        let main = match main {
            // SAFETY: as above.
            "" => unsafe { first.name.text("files.name")? },
            main => main,
        };
        give(compile(main, &provider, &Options::default()))
    })
}

/// What is doubtful in the IDL, shown as mistakes are. Borrowed from `idl`; empty if there is nothing, or
/// if that is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_warnings(idl: *const krpc_idl) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    guard_or(krpc_str::EMPTY, || unsafe { text(idl, |idl| Some(&idl.warnings)) })
}

/// Number of services, those of included files too. 0 if `idl` is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_service_count(idl: *const krpc_idl) -> usize {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { schema(idl) }.map_or(0, |schema| schema.services().len()))
}

/// The name of a service, 0 ≤ `index` < `krpc_idl_service_count`; those of the main file come first.
/// Borrowed from `idl`; empty if there is no such service.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_service_at(idl: *const krpc_idl, index: usize) -> krpc_str {
    guard_or(krpc_str::EMPTY, || {
        // SAFETY: the host vouches for the handle.
        unsafe { text(idl, |idl| idl.schema.services().nth(index).map(|(_, service)| &*service.name)) }
    })
}

/// The service that is meant where only a method is named: the last of the main file. Borrowed from `idl`;
/// empty if there is none.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_main_service(idl: *const krpc_idl) -> krpc_str {
    guard_or(krpc_str::EMPTY, || {
        // SAFETY: the host vouches for the handle.
        unsafe { text(idl, |idl| idl.schema.main_service().map(|id| &*idl.schema.service(id).name)) }
    })
}

/// Number of methods of a service, inherited ones too. 0 if there is no such service.
///
/// `service`: empty for the main one.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_method_count(idl: *const krpc_idl, service: krpc_str) -> usize {
    guard_or(0, || {
        // SAFETY: the host vouches for handle and view.
        let found = unsafe { schema(idl).and_then(|schema| Ok((schema, service_of(schema, service)?))) };
        found.map_or(0, |(schema, id)| schema.service(id).methods.len())
    })
}

/// What the IDL says of a method, 0 ≤ `index` < `krpc_idl_method_count`: own ones as written, then those
/// inherited.
///
/// `service`: empty for the main one. `info`: its `struct_size` must be set; the fields that it has room
/// for are filled in.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_method_at(
    idl: *const krpc_idl,
    service: krpc_str,
    index: usize,
    info: *mut krpc_method_info,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for handle and view.
        let (schema, id) =
            unsafe { schema(idl).and_then(|schema| Ok((schema, service_of(schema, service)?)))? };
        let method = schema.service(id).methods.get(index).ok_or_else(|| {
            Error::invalid_argument(
                "index",
                format_args!("{} has no method {index}", schema.service(id).name),
            )
        })?;
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(info, "info", describe(schema, schema.method(*method))) }
    })
}

/// The same for a method by its name.
///
/// `method`: "Service/Method", or "Method" of the main service.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_find_method(
    idl: *const krpc_idl,
    method: krpc_str,
    info: *mut krpc_method_info,
    error: *mut *mut krpc_error,
) -> krpc_status {
    guard(error, || {
        // SAFETY: the host vouches for handle and view.
        let found = unsafe { find(idl, method)? };
        // SAFETY: the host vouches for a struct of the size that it says.
        unsafe { write_sized(info, "info", describe(found.schema(), found.method())) }
    })
}

/// Number of structs, unions and exceptions, those of included files too. 0 if `idl` is NULL.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_struct_count(idl: *const krpc_idl) -> usize {
    // SAFETY: the host vouches for the handle.
    guard_or(0, || unsafe { schema(idl) }.map_or(0, |schema| schema.named_structs().len()))
}

/// The name of a struct, union or exception as `krpc_idl_struct` takes it, 0 ≤ `index` <
/// `krpc_idl_struct_count`. Borrowed from `idl`; empty if there is no such struct.
///
/// Thread: any thread. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_struct_at(idl: *const krpc_idl, index: usize) -> krpc_str {
    guard_or(krpc_str::EMPTY, || {
        // SAFETY: the host vouches for the handle.
        unsafe { text(idl, |idl| idl.schema.named_structs().get(index).map(|(name, _)| &**name)) }
    })
}

/// The shape of a struct, union or exception, by its name or that of a typedef.
///
/// Returns an owned shape, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_struct(
    idl: *const krpc_idl,
    name: krpc_str,
    error: *mut *mut krpc_error,
) -> *mut krpc_shape {
    guard_new(error, || {
        // SAFETY: the host vouches for handle and view.
        let (idl, name) = unsafe { (handle::get(idl, "idl")?, name.text("name")?) };
        Ok(handle::give(Shape::of_struct(&idl.schema, name)?))
    })
}

/// The shape of a method's requests.
///
/// `method`: "Service/Method", or "Method" of the main service.
/// Returns an owned shape, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_request(
    idl: *const krpc_idl,
    method: krpc_str,
    error: *mut *mut krpc_error,
) -> *mut krpc_shape {
    // SAFETY: the host vouches for handle and view.
    guard_new(error, || Ok(handle::give(unsafe { find(idl, method)? }.request())))
}

/// The shape of a method's results. A oneway method has none.
///
/// `method`: "Service/Method", or "Method" of the main service.
/// Returns an owned shape, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_result(
    idl: *const krpc_idl,
    method: krpc_str,
    error: *mut *mut krpc_error,
) -> *mut krpc_shape {
    // SAFETY: the host vouches for handle and view.
    guard_new(error, || Ok(handle::give(unsafe { find(idl, method)? }.result()?)))
}

/// Everything that the IDL defines, as JSON: files, types, constants, structs, services, annotations,
/// comments.
///
/// Returns an owned message in `KRPC_ENCODING_JSON`, or NULL and an error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_dump(
    idl: *const krpc_idl,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    guard_new(error, || {
        // SAFETY: the host vouches for the handle.
        let json = dump::to_json(unsafe { schema(idl)? });
        Ok(handle::give(Message::new(Encoding::JSON, json.into())))
    })
}

/// A request to start from, as JSON: every field with its default, or a value of its type.
///
/// `method`: "Service/Method", or "Method" of the main service. `comments`: whether each field has its id,
/// requiredness and type as a `//` comment, which is for people: JSON has no comments.
/// Returns an owned message in `KRPC_ENCODING_JSON` (with comments `KRPC_ENCODING_RAW`), or NULL and an
/// error.
///
/// Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_template(
    idl: *const krpc_idl,
    method: krpc_str,
    comments: bool,
    error: *mut *mut krpc_error,
) -> *mut krpc_message {
    guard_new(error, || {
        // SAFETY: the host vouches for handle and view.
        let (schema, method) = unsafe { (schema(idl)?, method.text("method")?) };
        let (style, encoding) = match comments {
            true => (template::Style::Commented, Encoding::RAW),
            false => (template::Style::Json, Encoding::JSON),
        };
        let text = template::request(schema, method, style);
        let text = text.map_err(|error| Error::invalid_argument("method", error))?;
        Ok(handle::give(Message::new(encoding, text.into())))
    })
}

/// Frees an IDL, and with it the texts that are borrowed from it. NULL is fine.
///
/// Thread: any thread, once. Errors: none. Since: 0.1.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn krpc_idl_free(idl: *mut krpc_idl) {
    // SAFETY: the host vouches for the handle.
    guard_or((), || unsafe { handle::free(idl) });
}

fn give(compiled: Compiled) -> Result<*mut krpc_idl> {
    let warnings = compiled.render(Style::Plain);
    match compiled.into_schema() {
        Ok(schema) => Ok(handle::give(Idl { schema, warnings })),
        Err(report) => Err(Error::new(Code::IdlInvalid, report.to_string().trim_end())),
    }
}

unsafe fn schema<'a>(idl: *const krpc_idl) -> Result<&'a Schema> {
    // SAFETY: the host vouches for the handle.
    unsafe { handle::get(idl, "idl") }.map(|idl| &*idl.schema)
}

unsafe fn text<'a>(idl: *const krpc_idl, text: impl FnOnce(&'a Idl) -> Option<&'a str>) -> krpc_str {
    // SAFETY: the host vouches for the handle.
    let text = unsafe { handle::get(idl, "idl") }.ok().and_then(text);
    text.map_or(krpc_str::EMPTY, |text| krpc_str::of(text.as_bytes()))
}

unsafe fn find(idl: *const krpc_idl, method: krpc_str) -> Result<CallShape> {
    // SAFETY: the host vouches for handle and view.
    unsafe { CallShape::find(&handle::get(idl, "idl")?.schema, method.text("method")?) }
}

unsafe fn service_of(schema: &Schema, service: krpc_str) -> Result<ServiceId> {
    // SAFETY: the host vouches for the view.
    let found = match unsafe { service.text("service")? } {
        "" => schema.main_service(),
        name => Some(schema.find_service(name).map_err(|error| Error::invalid_argument("service", error))?),
    };
    found.ok_or_else(|| Error::invalid_argument("service", "is empty, and the main file has no service"))
}

/// All texts belong to the schema.
fn describe(schema: &Schema, method: &Method) -> krpc_method_info {
    let view = |text: &str| krpc_str::of(text.as_bytes());
    let fields = |id| schema.structure(id).fields().len();
    let results = usize::from(method.response.is_some());
    krpc_method_info {
        struct_size: 0,
        name: view(&method.name),
        service: view(&schema.service(method.service).name),
        request: schema
            .only_argument(method)
            .map_or(krpc_str::EMPTY, |only| view(schema.type_text(only.type_id))),
        result: view(method.response.map_or("void", |ty| schema.type_text(ty))),
        streaming: krpc_streaming::from(method.streaming) as i32,
        oneway: u32::from(method.oneway),
        argument_count: fields(method.arguments) as u32,
        exception_count: method.result.map_or(0, |result| fields(result) - results) as u32,
    }
}

impl From<Streaming> for krpc_streaming {
    fn from(streaming: Streaming) -> krpc_streaming {
        match streaming {
            Streaming::None => krpc_streaming::KRPC_STREAMING_NONE,
            Streaming::Unary => krpc_streaming::KRPC_STREAMING_UNARY,
            Streaming::Client => krpc_streaming::KRPC_STREAMING_CLIENT,
            Streaming::Server => krpc_streaming::KRPC_STREAMING_SERVER,
            Streaming::Bidirectional => krpc_streaming::KRPC_STREAMING_BIDIRECTIONAL,
        }
    }
}
