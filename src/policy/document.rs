//! Policy documents: JSON objects whose fields may come in any order, unknown ones ignored, `null` as absent,
//! the last of a repeated field winning.

use crate::base::json::{Kind, Scanner};
use crate::base::{Code, Error, Result};

/// How deep documents may nest.
const DEPTH: usize = 16;
/// How large a document may be, in bytes.
const MAX_BYTES: usize = 1 << 20;
/// How many entries a map of methods may have.
pub(in crate::policy) const MAX_ENTRIES: usize = 10_000;

/// A document being read.
pub(in crate::policy) struct Document<'a>(Scanner<'a>);

/// Reads a whole document with `read`.
pub(in crate::policy) fn read<'a, T>(
    text: &'a [u8],
    read: impl FnOnce(&mut Document<'a>) -> Result<T>,
) -> Result<T> {
    if text.len() > MAX_BYTES {
        let why = format!("policy document of {} bytes, more than {MAX_BYTES}", text.len());
        return Err(Error::new(Code::CodecLimit, why));
    }
    let mut document = Document(Scanner::new(text));
    let value = read(&mut document)?;
    document.0.expect_end()?;
    Ok(value)
}

impl Document<'_> {
    /// Calls `field` for each field that is not null; it returns false for one it does not know.
    pub(in crate::policy) fn object(
        &mut self,
        mut field: impl FnMut(&str, &mut Self) -> Result<bool>,
    ) -> Result<()> {
        self.0.expect(b'{')?;
        if self.0.take(b'}') {
            return Ok(());
        }
        let mut entries = 0;
        loop {
            entries += 1;
            if entries > MAX_ENTRIES {
                let why = format!("policy document: more than {MAX_ENTRIES} entries in an object");
                return Err(Error::new(Code::CodecLimit, why));
            }
            let name = self.0.string()?;
            let name = String::from_utf8_lossy(&name).into_owned();
            self.0.expect(b':')?;
            if !self.0.take_null()? && !field(&name, self)? {
                self.skip()?;
            }
            if !self.0.more(b'}')? {
                return Ok(());
            }
        }
    }

    fn skip(&mut self) -> Result<()> {
        self.0.skip(DEPTH).map_err(|_| self.wrong("", "a value that is not nested too deep"))
    }

    pub(in crate::policy) fn bool(&mut self, name: &str) -> Result<bool> {
        self.0.bool().map_err(|_| self.wrong(name, "true or false"))
    }

    /// A whole number that fits.
    pub(in crate::policy) fn integer<T: TryFrom<i64>>(&mut self, name: &str) -> Result<T> {
        let number = self.0.number().map_err(|_| self.wrong(name, "a number"))?;
        let value = number.as_i64().and_then(|value| T::try_from(value).ok());
        value.ok_or_else(|| self.wrong(name, "a whole number in its range"))
    }

    pub(in crate::policy) fn real(&mut self, name: &str) -> Result<f64> {
        let number = self.0.number().map_err(|_| self.wrong(name, "a number"))?;
        Ok(number.as_f64())
    }

    pub(in crate::policy) fn text(&mut self, name: &str) -> Result<String> {
        if self.0.kind()? != Kind::String {
            return Err(self.wrong(name, "a string"));
        }
        Ok(String::from_utf8_lossy(&self.0.string()?).into_owned())
    }

    #[cold]
    fn wrong(&self, name: &str, wanted: &str) -> Error {
        let at = self.0.position();
        Error::new(Code::Malformed, format!("policy document, byte {at}: {name} must be {wanted}"))
    }
}
