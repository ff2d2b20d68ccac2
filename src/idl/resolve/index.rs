//! Which service and which methods a bare name means.

use std::collections::HashMap;
use std::sync::Arc;

use super::Resolver;
use crate::idl::ServiceChoice;
use crate::idl::diagnostic::Diagnostic;
use crate::idl::schema::{Annotations, Index, MethodId, NameTable, SchemaFileId, Service, ServiceId};

/// The name that Kitex gives to all services together.
const COMBINED: &str = "CombinedServices";

impl Resolver<'_> {
    pub(super) fn index(&mut self) -> Index {
        let (of_main, others): (Vec<ServiceId>, Vec<ServiceId>) =
            (0..self.services.len()).map(ServiceId::at).partition(|id| self.is_in_main(*id));
        let (main, combined) = self.choose(&of_main);
        let methods = self.bare_methods(&of_main);

        let services: Vec<ServiceId> = combined.into_iter().chain(of_main).chain(others).collect();
        let service_name =
            |id: &ServiceId| self.services.get(id.index()).map_or("", |service| &*service.name);
        Index {
            service_names: NameTable::new(services.iter().map(service_name)),
            services: services.into(),
            main,
            method_names: NameTable::new(methods.iter().map(|(name, _)| &**name)),
            methods: methods.into(),
        }
    }

    fn is_in_main(&self, id: ServiceId) -> bool {
        self.services.get(id.index()).is_some_and(|service| service.file.index() == 0)
    }

    /// The main service, and the combined one if that was made.
    fn choose(&mut self, of_main: &[ServiceId]) -> (Option<ServiceId>, Option<ServiceId>) {
        match &self.options.services {
            ServiceChoice::Last => (of_main.last().copied(), None),
            ServiceChoice::First => (of_main.first().copied(), None),
            ServiceChoice::Combined if of_main.is_empty() => (None, None),
            ServiceChoice::Combined => {
                let combined = self.combine(of_main);
                (Some(combined), Some(combined))
            }
            ServiceChoice::Named(name) => {
                let named = |id: &&ServiceId| {
                    self.services.get(id.index()).is_some_and(|service| *service.name == **name)
                };
                let found = of_main.iter().find(named).copied();
                if found.is_none() {
                    let message = format!("the idl service name {name} is not in the idl");
                    self.diagnostics.push(Diagnostic::error_nowhere("service-name", message));
                }
                (found, None)
            }
        }
    }

    /// A service with the methods of all. A base that several of them share is no conflict.
    fn combine(&mut self, of_main: &[ServiceId]) -> ServiceId {
        let mut methods: Vec<MethodId> = Vec::new();
        let mut known: HashMap<Arc<str>, MethodId> = HashMap::new();
        for id in of_main.iter().filter_map(|id| self.services.get(id.index())).flat_map(|s| s.methods.iter())
        {
            let Some(name) = self.methods.get(id.index()).map(|method| method.name.clone()) else { continue };
            match known.get(&name) {
                Some(first) if first == id => {}
                Some(_) => {
                    let message = format!("duplicate method name: {name}");
                    let found = Diagnostic::error_nowhere("combined-services", message);
                    self.diagnostics
                        .push(found.hint("services can be combined if their methods have different names"));
                }
                None => {
                    methods.push(*id);
                    known.insert(name, *id);
                }
            }
        }
        let names = methods.iter().map(|id| self.methods.get(id.index()).map_or("", |method| &*method.name));
        let service = Service {
            name: COMBINED.into(),
            file: SchemaFileId::at(0),
            base: None,
            own: 0,
            names: NameTable::new(names),
            methods: methods.into(),
            annotations: Annotations::default(),
            doc: None,
        };
        self.services.push(service);
        ServiceId::at(self.services.len() - 1)
    }

    /// Each method name of the main file's services with the method, if it is only one.
    fn bare_methods(&self, of_main: &[ServiceId]) -> Vec<(Arc<str>, Option<MethodId>)> {
        let mut position: HashMap<&str, usize> = HashMap::new();
        let mut methods: Vec<(Arc<str>, Option<MethodId>)> = Vec::new();
        for id in of_main.iter().filter_map(|id| self.services.get(id.index())).flat_map(|s| s.methods.iter())
        {
            let Some(method) = self.methods.get(id.index()) else { continue };
            let at = *position.entry(&method.name).or_insert_with(|| {
                methods.push((method.name.clone(), Some(*id)));
                methods.len() - 1
            });
            if let Some((_, found)) = methods.get_mut(at)
                && *found != Some(*id)
            {
                *found = None;
            }
        }
        methods
    }
}
