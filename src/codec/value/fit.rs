//! Whether a value fits a type, and the same value in exactly that type.

use super::Value;
use crate::base::{Code, Error};
use crate::idl::Schema;
use crate::idl::schema::Type;

/// Why a value does not fit, and where in it.
pub(super) struct Misfit {
    text: String,
    /// From the inside out.
    path: Vec<String>,
}

impl Misfit {
    #[cold]
    fn new(text: String) -> Misfit {
        Misfit { text, path: Vec::new() }
    }

    #[cold]
    fn inside(mut self, step: String) -> Misfit {
        self.path.push(step);
        self
    }

    pub(super) fn into_error(self, field: &str) -> Error {
        let path: String = self.path.into_iter().rev().collect();
        Error::new(Code::TypeMismatch, format!("{field}{path}: {}", self.text))
    }
}

/// Recurses as deep as the type does, because each value in a value is checked against the type in it;
/// structs in it were checked when they were made.
pub(super) fn fit(schema: &Schema, ty: Type, value: Value) -> Result<Value, Misfit> {
    match (ty, value) {
        (Type::Bool, value @ Value::Bool(_))
        | (Type::Double, value @ Value::Double(_))
        | (Type::String | Type::Binary, value @ Value::Bytes(_)) => Ok(value),
        (Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Enum(_), value) => integer(ty, value),
        (Type::List(element) | Type::Set(element), Value::List(items)) => {
            let element = schema.ty(element);
            let fitted = items.into_iter().enumerate().map(|(index, item)| {
                fit(schema, element, item).map_err(|misfit| misfit.inside(format!("[{index}]")))
            });
            fitted.collect::<Result<_, _>>().map(Value::List)
        }
        (Type::Map(key, item), Value::Map(pairs)) => {
            let (key, item) = (schema.ty(key), schema.ty(item));
            let fitted = pairs.into_iter().enumerate().map(|(index, (first, second))| {
                let first =
                    fit(schema, key, first).map_err(|misfit| misfit.inside(format!("[{index}].key")))?;
                let second =
                    fit(schema, item, second).map_err(|misfit| misfit.inside(format!("[{index}].value")))?;
                Ok((first, second))
            });
            fitted.collect::<Result<_, _>>().map(Value::Map)
        }
        (Type::Struct(id), Value::Struct(fields)) if fields.id() == id => Ok(Value::Struct(fields)),
        (Type::Struct(id), Value::Struct(fields)) => {
            let name = |id| &schema.structure(id).name;
            Err(Misfit::new(format!("its type is {}, not {}", name(id), name(fields.id()))))
        }
        (ty, value) => Err(Misfit::new(format!("its type is {}, not {}", ty.word(), value.word()))),
    }
}

fn integer(ty: Type, value: Value) -> Result<Value, Misfit> {
    let Some(number) = value.as_integer() else {
        return Err(Misfit::new(format!("its type is {}, not {}", ty.word(), value.word())));
    };
    let fitted = match ty {
        Type::I8 => i8::try_from(number).map(Value::I8),
        Type::I16 => i16::try_from(number).map(Value::I16),
        Type::I64 => Ok(Value::I64(number)),
        _ => i32::try_from(number).map(Value::I32),
    };
    fitted.map_err(|_| Misfit::new(format!("value is beyond range of {}", ty.word())))
}
