//! Values between the bytes of [`wire`](crate::wire) and those who have no generated types: a struct built
//! and read step by step, alone or by the [`shape`] of an IDL; or by the types of an IDL as [`json`], or as a
//! [`value`] tree. No I/O, no clock, no unsafe.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_possible_wrap
    )
)]

pub mod builder;
pub mod cursor;
pub mod json;
mod nesting;
mod request_base;
pub mod shape;
mod typed;
pub mod value;

pub use builder::Builder;
pub use cursor::Cursor;
pub use shape::{CallShape, Shape};

pub use crate::wire::thrift::TType;
