//! The IDL front end as its users see it.

#[path = "idl/cases.rs"]
mod cases;
#[path = "idl/corpus.rs"]
mod corpus;
#[path = "idl/hostile.rs"]
mod hostile;
#[path = "idl/oracle.rs"]
mod oracle;
#[path = "idl/schema.rs"]
mod schema;
