//! The client: its cases print `ok NAME` or `FAIL NAME: why`, and the counts at the end.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use pilota::FastStr;
use volo_thrift::codec::DefaultMakeCodec;
use volo_thrift::transport::pool::Config;
use volo_thrift::{ClientError, MaybeException};

use crate::flags::Flags;
use crate::interop::{
    AllTypes, InteropClient, InteropClientBuilder, InteropEchoException, InteropFailException, Pair, Req,
    UnknownClient, UnknownClientBuilder,
};
use crate::server::pattern;

/// A client of one service over the transport that the flags name.
macro_rules! dial {
    ($builder:ident, $flags:expr, $idle:expr) => {{
        let address: std::net::SocketAddr = $flags.text("addr", "").parse().context("-addr")?;
        let builder = $builder::new("interop.server")
            .caller_name("interop.client")
            .address(address)
            .pool_config(Config::new($idle, Duration::from_secs(60)))
            .rpc_timeout(Some(Duration::from_secs(30)));
        match $flags.text("transport", "ttheader-framed") {
            "ttheader-framed" => builder.make_codec(DefaultMakeCodec::ttheader_framed()).build(),
            "framed" => builder.make_codec(DefaultMakeCodec::framed()).build(),
            "buffered" => builder.make_codec(DefaultMakeCodec::buffered()).build(),
            other => bail!("-transport {other}"),
        }
    }};
}

pub fn interop(flags: &Flags, idle: usize) -> Result<InteropClient> {
    Ok(dial!(InteropClientBuilder, flags, idle))
}

/// The exit code.
pub async fn run(flags: &Flags) -> Result<i32> {
    let client = interop(flags, 10)?;
    let unknown = dial!(UnknownClientBuilder, flags, 10);
    let (callers, calls) = (flags.number("c", 50)?, flags.number("n", 10)?);
    let (mut passed, mut failed) = (0, 0);
    let chosen = flags.text("case", "all");
    for name in CASES.iter().filter(|name| chosen == "all" || chosen.split(',').any(|word| word == **name)) {
        match case(name, &client, &unknown, callers, calls).await {
            Ok(()) => {
                passed += 1;
                println!("ok {name}");
            }
            Err(why) => {
                failed += 1;
                println!("FAIL {name}: {}", format!("{why:#}").replace('\n', "\\n"));
            }
        }
    }
    println!("{passed} passed, {failed} failed");
    Ok(i32::from(failed > 0))
}

const CASES: [&str; 11] = [
    "echo",
    "types",
    "void",
    "oneway",
    "add",
    "declared",
    "declared2",
    "error",
    "unknown-method",
    "big",
    "callers",
];

async fn case(
    name: &str,
    client: &InteropClient,
    unknown: &UnknownClient,
    callers: usize,
    calls: usize,
) -> Result<()> {
    match name {
        "echo" => echo(client, "hello, wörld".into(), 100).await,
        "types" => types(client).await,
        "void" => Ok(client.void("nothing".into()).await?),
        "oneway" => oneway(client).await,
        "add" => same(client.add(40, 2).await?, 42),
        "declared" => match client.echo(request("throw".into(), 0)).await? {
            MaybeException::Exception(InteropEchoException::Err(thrown)) => same(thrown.code, Some(7)),
            _ => bail!("the end is another"),
        },
        "declared2" => match client.fail("declared2".into()).await? {
            MaybeException::Exception(InteropFailException::Other(thrown)) => {
                same(thrown.details, Some(vec!["a".into(), "b".into()]))
            }
            _ => bail!("the end is another"),
        },
        "error" => match client.fail("error".into()).await {
            Err(ClientError::Application(why)) => {
                ensure!(why.message().contains("plain error"), "got {why}");
                same(i32::from(why.kind()), 6)
            }
            _ => bail!("the end is another"),
        },
        "unknown-method" => match unknown.missing("x".into()).await {
            Err(ClientError::Application(_)) => Ok(()),
            other => bail!("got {other:?}"),
        },
        "big" => {
            same(client.big(1 << 20).await?, pattern(1 << 20))?;
            echo(client, "big".into(), 1 << 20).await
        }
        "callers" => many(client, callers, calls).await,
        _ => bail!("no such case"),
    }
}

fn same<T: PartialEq + std::fmt::Debug>(got: T, want: T) -> Result<()> {
    ensure!(got == want, "got {got:?}, want {want:?}");
    Ok(())
}

fn request(message: FastStr, size: usize) -> Req {
    Req { message: Some(message), payload: Some(pattern(size)) }
}

async fn echo(client: &InteropClient, text: FastStr, size: usize) -> Result<()> {
    match client.echo(request(text.clone(), size)).await? {
        MaybeException::Ok(back) => {
            same(back.message, Some(text))?;
            same(back.payload, Some(pattern(size)))
        }
        _ => bail!("an exception came"),
    }
}

async fn types(client: &InteropClient) -> Result<()> {
    let pair = Pair { key: Some("k".into()), value: Some(i64::MIN) };
    let sent = AllTypes {
        b: Some(true),
        i64v: Some(i64::MAX),
        dbl: Some((-0.5).into()),
        bin: Some(pattern(300)),
        pair: Some(pair.clone()),
        strings: Some(vec!["".into(), "ä".into()]),
        matrix: Some(vec![vec![1, 2], vec![]]),
        pairs_by_id: Some([(-1, vec![pair])].into_iter().collect()),
        req_str: "required".into(),
        req_list: vec!["one".into()],
        opt_bool: Some(false),
        ..AllTypes::default()
    };
    same(client.echo_types(sent.clone()).await?, sent)
}

/// Nothing says that a oneway call has arrived, so the count is asked for until it is right.
async fn oneway(client: &InteropClient) -> Result<()> {
    let before = client.fire_count().await?;
    for _ in 0..20 {
        client.fire("x".into()).await?;
    }
    for _ in 0..1000 {
        if client.fire_count().await? == before + 20 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    bail!("not all have arrived")
}

async fn many(client: &InteropClient, callers: usize, calls: usize) -> Result<()> {
    let client = Arc::new(client.clone());
    let all: Vec<_> = (0..callers)
        .map(|caller| {
            let client = Arc::clone(&client);
            tokio::spawn(async move {
                for call in 0..calls {
                    echo(&client, format!("{caller} {call}").into(), 100).await?;
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for one in all {
        one.await??;
    }
    Ok(())
}
