//! **libkrpc**: the protocols of ByteDance's Kitex for every language.
//!
//! One core behind a C ABI. The rooms below are layered; `ARCHITECTURE.md` draws the arrows and
//! `tests/layering.rs` holds them. Bytes become frames in [`wire`] and values in [`codec`], by the
//! types of [`idl`]; [`capi`] is
//! what C sees. Everything shares the words of [`base`].

pub mod base;
pub mod capi;
pub mod codec;
pub mod idl;
pub mod io;
pub mod observe;
pub mod op;
pub mod policy;
pub mod proto;
pub mod rpc;
pub mod wire;
