//! Services: functions checked, arguments and results made structs, inheritance flattened.

use std::collections::HashMap;
use std::sync::Arc;

use super::Resolver;
use super::firsts::Firsts;
use super::scope::Entry;
use super::structs::{Owner, OwnerName};
use crate::idl::ast::{self, DefinitionKind};
use crate::idl::diagnostic::Diagnostic;
use crate::idl::schema::{
    Annotations, Category, Field, Method, MethodId, NameTable, Requiredness, SchemaFileId, Service,
    ServiceId, Streaming, Struct, StructId, Symbol, Type, TypeId,
};
use crate::idl::source::Span;

impl<'a> Resolver<'a> {
    pub(super) fn services(&mut self) {
        for (index, entry) in self.scope.services.clone().into_iter().enumerate() {
            let DefinitionKind::Service(written) = &entry.definition.kind else { continue };
            let base = written.base.as_ref().and_then(|name| self.base_service(entry.file, name));
            let methods = self.own_methods(ServiceId::at(index), entry, written);
            self.services.push(Service {
                name: entry.definition.name.text.clone(),
                file: SchemaFileId::at(entry.file),
                base,
                own: methods.len(),
                methods: methods.into(),
                annotations: self.annotations(&entry.definition.annotations),
                doc: self.doc(&entry.definition.comments),
                names: NameTable::default(),
            });
        }
        self.inherit();
    }

    fn base_service(&mut self, file: usize, name: &ast::Name) -> Option<ServiceId> {
        let is_service = |symbol| matches!(symbol, Symbol::Service(_));
        if let Some(Symbol::Service(id)) = self.scope.lookup(file, &name.text, is_service) {
            return Some(id);
        }
        if self.scope.may_be_missing(file, &name.text) {
            return None;
        }
        let found = Diagnostic::error(
            "undefined-service",
            name.span,
            format!("base service `{}` not found", name.text),
        );
        let explanation = match self.diagnostics.is_full() {
            true => None,
            false => self.scope.explain(file, &name.text, is_service),
        };
        self.diagnostics.push(match explanation {
            Some(words) => found.hint(words),
            None => found,
        });
        None
    }

    fn own_methods(
        &mut self,
        service: ServiceId,
        entry: Entry<'a>,
        written: &'a ast::Service,
    ) -> Vec<MethodId> {
        let mut methods = Vec::with_capacity(written.functions.len());
        let mut names = Firsts::new();
        let owner = &*entry.definition.name.text;
        for function in &written.functions {
            if let Some(first) = names.insert(&*function.name.text, function.name.span) {
                self.duplicate_in(owner, "function", &function.name, first);
                continue;
            }
            let method = self.function(service, entry.file, owner, function);
            self.methods.push(method);
            self.method_spans.push(function.name.span);
            methods.push(MethodId::at(self.methods.len() - 1));
        }
        methods
    }

    fn function(
        &mut self,
        service: ServiceId,
        file: usize,
        owner: &str,
        function: &'a ast::Function,
    ) -> Method {
        let response = function.response.as_ref().and_then(|ty| self.type_ref(file, ty));
        let arguments = self.arguments(file, owner, function);
        let result = self.result(file, owner, function, response);
        self.check_oneway(function);
        let streaming = self.streaming(function, arguments, response);
        Method {
            name: function.name.text.clone(),
            service,
            arguments,
            result: (!function.oneway).then_some(result),
            response,
            oneway: function.oneway,
            streaming,
            annotations: self.annotations(&function.annotations),
            doc: self.doc(&function.comments),
        }
    }

    fn arguments(&mut self, file: usize, owner: &str, function: &'a ast::Function) -> StructId {
        let name = OwnerName(owner, Some(&function.name.text));
        let fields = self.fields(&Owner { file, category: Category::Arguments, name }, &function.arguments);
        let id = self.add_struct(file, owner, function, Category::Arguments, fields);
        self.struct_defaults(id, file, &function.arguments);
        id
    }

    fn result(
        &mut self,
        file: usize,
        owner: &str,
        function: &'a ast::Function,
        response: Option<TypeId>,
    ) -> StructId {
        let name = OwnerName(owner, Some(&function.name.text));
        let throws = self.fields(&Owner { file, category: Category::Result, name }, &function.throws);
        self.check_throws(&function.throws, &throws, response.is_some());
        let mut fields = Vec::with_capacity(throws.len() + 1);
        fields.extend(response.map(|type_id| self.success(type_id)));
        fields.extend(throws.into_iter().filter(|field| field.id != 0));
        self.add_struct(file, owner, function, Category::Result, fields)
    }

    fn success(&self, type_id: TypeId) -> Field {
        Field {
            id: 0,
            name: self.success.clone(),
            key: self.success.clone(),
            type_id,
            ty: self.types.ty(type_id),
            requiredness: Requiredness::Optional,
            default: None,
            js_conv: false,
            is_base: false,
            annotations: Annotations::default(),
            doc: None,
        }
    }

    fn check_throws(&mut self, written: &[ast::Field], fields: &[Field], has_success: bool) {
        let mut by_name = Firsts::new();
        for field in fields {
            by_name.insert(&*field.name, field);
        }
        for field in written {
            let Some(made) = by_name.get(&*field.name.text) else { continue };
            let is_exception = match made.ty {
                Type::Struct(id) => {
                    self.structs.get(id.index()).is_some_and(|s| s.category == Category::Exception)
                }
                _ => false,
            };
            if !is_exception {
                let message = format!("`{}` is not an exception", self.type_text(made.type_id));
                self.diagnostics.push(
                    Diagnostic::error("throws-type", field.ty.span, message)
                        .hint("only an `exception` can be thrown"),
                );
            }
            if made.id == 0 && has_success {
                let span = field.id.map_or(field.name.span, |id| id.span);
                let message = "the id 0 is that of the result itself";
                self.diagnostics
                    .push(Diagnostic::error("duplicate-field-id", span, message).hint("count from 1"));
            }
        }
    }

    /// Named as the reference names them, with the method's first letter in upper case.
    fn add_struct(
        &mut self,
        file: usize,
        owner: &str,
        function: &ast::Function,
        category: Category,
        fields: Vec<Field>,
    ) -> StructId {
        let mut letters = function.name.text.chars();
        let first = letters.next().map_or(' ', |letter| letter.to_ascii_uppercase());
        let suffix = if category == Category::Arguments { "Args" } else { "Result" };
        let name = [owner, first.encode_utf8(&mut [0; 4]), letters.as_str(), suffix].concat();
        self.structs.push(Struct::new(name.into(), SchemaFileId::at(file), category, fields));
        StructId::at(self.structs.len() - 1)
    }
}

// What a function may be.
impl Resolver<'_> {
    fn check_oneway(&mut self, function: &ast::Function) {
        if !function.oneway {
            return;
        }
        let name = &function.name;
        if let Some(response) = &function.response {
            let message = format!("{}: oneway function must be void type", name.text);
            self.diagnostics.push(
                Diagnostic::error("oneway-result", response.span, message)
                    .hint("nothing is sent back to the caller"),
            );
        }
        if let Some(thrown) = function.throws.first() {
            let message = format!("{}: oneway methods can't throw exceptions", name.text);
            self.diagnostics.push(
                Diagnostic::error("oneway-throws", thrown.name.span, message)
                    .hint("nothing is sent back to the caller"),
            );
        }
    }

    fn streaming(
        &mut self,
        function: &ast::Function,
        arguments: StructId,
        response: Option<TypeId>,
    ) -> Streaming {
        let mut modes = function.annotations.iter().filter(|one| &*one.key.text == "streaming.mode");
        let Some(mode) = modes.next() else { return Streaming::None };
        if let Some(second) = modes.next() {
            let message = format!("{} has multiple values for annotation streaming.mode", function.name.text);
            self.diagnostics.push(
                Diagnostic::error("streaming-mode", second.value.span, message)
                    .related(mode.value.span, "the first one"),
            );
            return Streaming::None;
        }
        let Some(streaming) = Streaming::from_name(&mode.value.text) else {
            let message = format!("invalid value ({}) for annotation streaming.mode", mode.value.text);
            self.diagnostics.push(
                Diagnostic::error("streaming-mode", mode.value.span, message)
                    .hint("the modes are bidirectional, client, server and unary"),
            );
            return Streaming::None;
        };
        self.check_streaming(function, streaming, arguments, response);
        streaming
    }

    fn check_streaming(
        &mut self,
        function: &ast::Function,
        streaming: Streaming,
        arguments: StructId,
        response: Option<TypeId>,
    ) {
        let name = &function.name;
        if function.arguments.len() != 1 {
            let message = format!("streaming function {} should have exactly 1 argument", name.text);
            let found = Diagnostic::error("streaming-arguments", name.span, message);
            self.diagnostics.push(found.label(format!("has {}", function.arguments.len())));
        }
        if function.oneway {
            let message = format!("{}: a streaming function cannot be oneway", name.text);
            self.diagnostics.push(Diagnostic::error("streaming-oneway", name.span, message));
        }
        if !streaming.is_stream() {
            return;
        }
        let argument =
            self.structs.get(arguments.index()).and_then(|all| all.fields().first()).map(|one| one.ty);
        if let (Some(ty), Some(written)) = (argument, function.arguments.first()) {
            self.check_streamed(ty, written.ty.span);
        }
        match (response, &function.response) {
            (Some(ty), Some(written)) => self.check_streamed(self.types.ty(ty), written.span),
            (None, None) => {
                let message = format!("{}: a stream of results cannot be void", name.text);
                self.diagnostics.push(
                    Diagnostic::error("streaming-type", name.span, message).hint("use an empty struct"),
                );
            }
            _ => {}
        }
    }

    /// Messages of a stream are bare structs: nothing else says where one ends.
    fn check_streamed(&mut self, ty: Type, span: Span) {
        if !matches!(ty, Type::Struct(_)) {
            let message = format!("messages of a stream are structs, not `{}`", ty.word());
            self.diagnostics
                .push(Diagnostic::error("streaming-type", span, message).hint("wrap it in a struct"));
        }
    }
}

// Inheritance.
impl Resolver<'_> {
    fn inherit(&mut self) {
        let own: Vec<Box<[MethodId]>> =
            self.services.iter_mut().map(|service| std::mem::take(&mut service.methods)).collect();
        let mut walked = 0usize;
        for index in 0..self.services.len() {
            let methods = self.flatten(ServiceId::at(index), &own, &mut walked);
            if walked > self.options.limits.methods {
                return self.too_many_methods(index);
            }
            let names =
                methods.iter().map(|id| self.methods.get(id.index()).map_or("", |method| &*method.name));
            let names = NameTable::new(names);
            if let Some(service) = self.services.get_mut(index) {
                service.methods = methods.into();
                service.names = names;
            }
        }
    }

    fn too_many_methods(&mut self, index: usize) {
        if let Some(entry) = self.scope.services.get(index) {
            let limit = self.options.limits.methods;
            let message = format!("more than {limit} methods, counting inherited ones in each service");
            self.diagnostics.push(Diagnostic::error("too-many-methods", entry.definition.name.span, message));
        }
    }

    /// A service's own methods, then those of its bases from near to far that are not hidden.
    fn flatten(&mut self, id: ServiceId, own: &[Box<[MethodId]>], walked: &mut usize) -> Vec<MethodId> {
        let line = self.line_of_bases(id);
        if let ([only], Some(own)) = (line.as_slice(), own.get(id.index())) {
            debug_assert_eq!(*only, id, "a line begins with the service itself");
            *walked = walked.saturating_add(own.len());
            return own.to_vec();
        }
        let mut methods: Vec<MethodId> = Vec::new();
        let mut names: HashMap<Arc<str>, MethodId> = HashMap::new();
        for service in line {
            let declared = own.get(service.index()).map(|own| own.iter()).unwrap_or_default();
            *walked = walked.saturating_add(declared.len());
            for method in declared {
                let Some(name) = self.methods.get(method.index()).map(|method| method.name.clone()) else {
                    continue;
                };
                match names.get(&name) {
                    Some(nearer) => self.redefined(id, *nearer, *method),
                    None => {
                        methods.push(*method);
                        names.insert(name, *method);
                    }
                }
            }
        }
        methods
    }

    /// A service, its base, the base's base and so on. A cycle is reported once, at its first service.
    fn line_of_bases(&mut self, id: ServiceId) -> Vec<ServiceId> {
        let mut line = vec![id];
        let mut next = self.services.get(id.index()).and_then(|service| service.base);
        while let Some(base) = next {
            if line.contains(&base) {
                if base == id && line.iter().min() == Some(&id) {
                    self.bad_bases("service-cycle", id, "extends itself");
                }
                break;
            }
            if line.len() > usize::from(self.options.limits.nesting) {
                let problem = format!("has more than {} base services", self.options.limits.nesting);
                self.bad_bases("nesting", id, &problem);
                break;
            }
            line.push(base);
            next = self.services.get(base.index()).and_then(|service| service.base);
        }
        line
    }

    /// Reported at the service that hides the function, not again at the heirs of that.
    fn redefined(&mut self, heir: ServiceId, nearer: MethodId, hidden: MethodId) {
        let method = self.methods.get(nearer.index()).filter(|method| method.service == heir);
        let spans = (self.method_spans.get(nearer.index()), self.method_spans.get(hidden.index()));
        if let (Some(method), (Some(here), Some(there))) = (method, spans) {
            let message = format!("`{}` hides the inherited function of the same name", method.name);
            self.diagnostics.push(
                Diagnostic::warning("redefined-function", *here, message)
                    .related(*there, "the inherited one"),
            );
        }
    }

    fn bad_bases(&mut self, rule: &'static str, id: ServiceId, problem: &str) {
        if let Some(entry) = self.scope.services.get(id.index()) {
            let name = &entry.definition.name;
            let message = format!("the service `{}` {problem}", name.text);
            self.diagnostics.push(Diagnostic::error(rule, name.span, message));
        }
    }
}
