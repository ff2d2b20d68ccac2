//! The server: what its methods do is written in ../idl/interop.thrift. It has no service but Interop.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::Result;
use pilota::{AHashMap, Bytes, FastStr};
use tokio::net::TcpListener;
use volo::net::incoming::DefaultIncoming;
use volo_thrift::{ApplicationException, ApplicationExceptionKind, BizError, MaybeException, ServerError};

use crate::bench;
use crate::flags::Flags;
use crate::interop::{
    AllTypes, EchoError, Interop, InteropEchoException, InteropFailException, InteropServer, OtherError, Req,
    Res,
};

pub async fn serve(flags: &Flags) -> Result<()> {
    let listener = TcpListener::bind(flags.text("listen", "127.0.0.1:0")).await?;
    println!("LISTENING {}", listener.local_addr()?);
    // Ends on SIGTERM, once the calls under way have.
    let served = InteropServer::new(Handler).run(DefaultIncoming::from(listener)).await;
    if flags.is_set("stats") {
        bench::print_use(CALLS.load(Relaxed));
    }
    served.map_err(|error| anyhow::anyhow!("{error}"))
}

static CALLS: AtomicU64 = AtomicU64::new(0);
static FIRED: AtomicI64 = AtomicI64::new(0);

struct Handler;

fn exception(kind: i32, text: &'static str) -> ServerError {
    ApplicationException::new(ApplicationExceptionKind::from(kind), text).into()
}

impl Interop for Handler {
    async fn echo(&self, req: Req) -> Result<MaybeException<Res, InteropEchoException>, ServerError> {
        CALLS.fetch_add(1, Relaxed);
        if req.message.as_deref() == Some("throw") {
            let thrown = EchoError { code: Some(7), message: Some("thrown".into()) };
            return Ok(MaybeException::Exception(InteropEchoException::Err(thrown)));
        }
        Ok(MaybeException::Ok(Res { message: req.message, payload: req.payload }))
    }

    async fn echo_types(&self, v: AllTypes) -> Result<AllTypes, ServerError> {
        Ok(v)
    }

    async fn void(&self, _: FastStr) -> Result<(), ServerError> {
        Ok(())
    }

    async fn fire(&self, _: FastStr) -> Result<(), ServerError> {
        FIRED.fetch_add(1, Relaxed);
        Ok(())
    }

    async fn fire_count(&self) -> Result<i64, ServerError> {
        Ok(FIRED.load(Relaxed))
    }

    async fn fail(&self, how: FastStr) -> Result<MaybeException<FastStr, InteropFailException>, ServerError> {
        let thrown = match how.as_str() {
            "declared" => {
                InteropFailException::Err(EchoError { code: Some(1001), message: Some("declared".into()) })
            }
            "declared2" => {
                let details = Some(vec!["a".into(), "b".into()]);
                InteropFailException::Other(OtherError { reason: Some("declared2".into()), details })
            }
            "biz" => {
                let extra = [("k", "v"), ("quote", "<\"é>")].map(|(key, value)| (key.into(), value.into()));
                return Err(BizError::with_extra(404, "not found".into(), AHashMap::from_iter(extra)).into());
            }
            "error" => return Err(anyhow::anyhow!("plain error").into()),
            "trans" => return Err(exception(9001, "own code")),
            "panic" => panic!("on purpose"),
            _ => return Ok(MaybeException::Ok(how)),
        };
        Ok(MaybeException::Exception(thrown))
    }

    async fn add(&self, a: i64, b: i64) -> Result<i64, ServerError> {
        Ok(a.wrapping_add(b))
    }

    async fn sleep(&self, ms: i32) -> Result<i32, ServerError> {
        tokio::time::sleep(Duration::from_millis(ms.max(0).unsigned_abs().into())).await;
        Ok(ms)
    }

    async fn meta(
        &self,
        backward: AHashMap<FastStr, FastStr>,
    ) -> Result<AHashMap<FastStr, FastStr>, ServerError> {
        let args = backward.into_iter().map(|(key, value)| (format!("arg.{key}").into(), value));
        Ok(args.chain([("caller".into(), "".into())]).collect())
    }

    async fn big(&self, bytes: i32) -> Result<Bytes, ServerError> {
        let size = usize::try_from(bytes).ok().filter(|size| *size <= 64 << 20);
        let size = size.ok_or_else(|| exception(6, "Big: the size is out of range"))?;
        Ok(pattern(size))
    }
}

/// Byte i is i mod 251.
pub fn pattern(size: usize) -> Bytes {
    (0..size).map(|at| (at % 251) as u8).collect()
}
