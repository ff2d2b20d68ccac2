//! `krpc serve`: an echo and mock server from an IDL.

mod answers;
mod mock;
mod stream;
mod timer;

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;

use krpc::idl::Schema;
use krpc::idl::schema::{Service as IdlService, ServiceId};
use krpc::rpc::server::{MethodOptions, Request, Server, ServerOptions, Service};
use krpc::rpc::stream::{Stream, StreamMethodOptions, StreamMode};
use krpc::rpc::{Runtime, RuntimeOptions};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::args::ServeArgs;
use crate::config::Settings;
use crate::exit::{Exit, Failure, Result};
use crate::serve::answers::Answers;
use crate::serve::mock::Mock;
use crate::serve::stream::StreamMock;
use crate::serve::timer::Timer;
use crate::{idl, output, target};

/// Most threads that drive sockets.
const MOST_IO_THREADS: usize = 8;

pub fn run(mut args: ServeArgs) -> Result<Exit> {
    // Before any thread, so that no signal finds the default action.
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|reason| Failure::usage(format_args!("signals: {reason}")))?;
    Settings::load(&args.config)?.fill_idl(&mut args.idl);
    let schema = idl::load(&args.idl)?;
    let answers = match &args.answers {
        Some(path) => Answers::read(path, &schema)?,
        None => Answers::default(),
    };
    let options = ServerOptions {
        addresses: args.listen.iter().map(|text| target::address("listen", text)).collect::<Result<_>>()?,
        services: services(&args, &schema, answers)?,
        runtime: Some(runtime()?),
        ..ServerOptions::default()
    };
    let server = Server::start(options).map_err(|error| {
        let hint = "\n  --service NAME serves one service of the IDL alone";
        let hint = if error.text().contains("conflicted") { hint } else { "" };
        let exit = Exit::of_call(error.code());
        Failure { text: format!("{error}{hint}"), ..Failure::library(exit, "", &error) }
    })?;

    let addresses: Vec<String> = server.addresses().iter().map(ToString::to_string).collect();
    let mut out = io::stdout().lock();
    // Whoever waits for the line reads a pipe.
    let _ = writeln!(out, "listening on {}", addresses.join(", ")).and_then(|()| out.flush());
    drop(out);

    let first = signals.forever().next().unwrap_or(SIGTERM);
    thread::spawn(move || {
        if let Some(second) = signals.forever().next() {
            std::process::exit(128 + second);
        }
    });
    if args.verbose > 0 {
        output::say(&format!("stopping; {} calls are running", server.in_flight()));
    }
    let stopped = server.stop(args.grace).map_err(|error| Failure::library(Exit::Rpc, "stop", &error))?;
    if stopped.cut_off > 0 {
        output::warn(&format!("{} connections were cut off after {:?}", stopped.cut_off, args.grace));
    }
    Ok(if first == SIGINT { Exit::Interrupted } else { Exit::Ok })
}

fn runtime() -> Result<Arc<Runtime>> {
    let threads = thread::available_parallelism().map_or(1, usize::from).min(MOST_IO_THREADS);
    Runtime::start(&RuntimeOptions { io_threads: threads, ..RuntimeOptions::default() })
        .map_err(|error| Failure::library(Exit::Network, "runtime", &error))
}

/// The services of the main file, or those that were asked for, with a handler for each method.
fn services(args: &ServeArgs, schema: &Arc<Schema>, mut answers: Answers) -> Result<Vec<Service>> {
    let chosen = chosen(args, schema)?;
    let timer = Arc::new(Timer::start());
    let wrong = |error| Failure::library(Exit::Usage, "service", &error);
    let mut services = Vec::new();
    for (_, service) in &chosen {
        let mut served = Service::new(&*service.name).map_err(wrong)?;
        for id in &service.methods {
            let method = schema.method(*id);
            let path = format!("{}/{}", service.name, method.name);
            let answers = answers.take(&path);
            if let Some(mode) = StreamMode::of(method.streaming) {
                let said = (args.repeat, args.verbose);
                let mock = Arc::new(StreamMock::new(schema, *id, mode, path, answers, said)?);
                // It has a thread of its own.
                let options = StreamMethodOptions { inline: true };
                let handler = move |stream: Stream| mock.handle(stream);
                served.add_stream(&method.name, mode, options, Arc::new(handler)).map_err(wrong)?;
                continue;
            }
            let mock = Arc::new(Mock::new(schema, *id, path, answers, args.verbose, Arc::clone(&timer))?);
            // Lines of talk may block, and then must not hold up the sockets.
            let options = MethodOptions { oneway: method.oneway, inline: args.verbose == 0 };
            let handler = move |request: Request| mock.handle(request);
            served.add_method(&method.name, options, Arc::new(handler)).map_err(wrong)?;
        }
        services.push(served);
    }
    if let Some(path) = answers.left_over() {
        return Err(Failure::usage(format_args!(
            "answers: {path} is not served; give --service for its service"
        )));
    }
    if let Some(at) = fallback(schema, &chosen) {
        services[at].set_fallback();
    }
    Ok(services)
}

fn chosen<'a>(args: &ServeArgs, schema: &'a Schema) -> Result<Vec<(ServiceId, &'a IdlService)>> {
    if args.service.is_empty() {
        let main: Vec<_> = schema.services().filter(|(_, service)| service.file.index() == 0).collect();
        return match main.is_empty() {
            true => Err(Failure::usage("the IDL's main file has no service")),
            false => Ok(main),
        };
    }
    let names: Vec<&str> = schema.services().map(|(_, service)| &*service.name).collect();
    let find = |name: &String| match schema.service_named(name) {
        Some(id) => Ok((id, schema.service(id))),
        None => Err(Failure::usage(format_args!("missing service: {name}; there are: {}", names.join(", ")))),
    };
    args.service.iter().map(find).collect()
}

/// Calls that name no service go to the IDL's main service; if equal method names leave a doubt, to one
/// that has all of these.
fn fallback(schema: &Schema, chosen: &[(ServiceId, &IdlService)]) -> Option<usize> {
    let has = |id: ServiceId, method: &str| schema.method_of(id, method).is_some();
    let is_doubtful = |method: &str| chosen.iter().filter(|(id, _)| has(*id, method)).count() > 1;
    let names = chosen.iter().flat_map(|(_, service)| &service.methods).map(|id| &*schema.method(*id).name);
    let doubtful: Vec<&str> = names.filter(|name| is_doubtful(name)).collect();
    let settles = |at: &usize| doubtful.iter().all(|method| has(chosen[*at].0, method));
    let main = chosen.iter().position(|(id, _)| Some(*id) == schema.main_service());
    main.into_iter().chain((0..chosen.len()).rev()).find(settles)
}
