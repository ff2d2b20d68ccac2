//! What may be chosen, with the reference's behaviour as default.

use crate::base::Limits;

/// How JSON and Thrift become each other. The default is what Kitex's JSON generic does; numbers are
/// sections of generic.md.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JsonOptions {
    /// §4, §5. Whether to refuse what the reference silently changes. From JSON: values of another kind
    /// than their type (`"12"` for an i32, `1` for a list), numbers out of range or with a fraction,
    /// `null` inside containers, unions without exactly one member, strings that are not UTF-8, halves of
    /// surrogate pairs. To JSON: strings that are not UTF-8. Default false.
    pub strict: bool,
    /// §2. What a `binary` is in JSON. Default base64.
    pub binary: Binary,
    /// §4, extension. How enums are written to JSON. Numbers and names are both read, whatever this says.
    /// Default numbers.
    pub enums: Enums,
    /// §6. How i64 are written to JSON; numbers and text are both read. Default by annotation.
    pub int64: Int64,
    /// §2. Whether i8 are written to JSON as 0 to 255, and 128 to 255 are read. Default false.
    pub i8_unsigned: bool,
    /// §2, §4, §5. Members and fields that the IDL does not know, in both directions. Default skip.
    pub unknown: Unknown,
    /// §4. Members that come twice in one object. Default the first wins.
    pub duplicates: Duplicates,
    /// §4. Whether a required field that is absent or null in JSON is written with its default or zero,
    /// instead of being an error. Default true.
    pub fill_required: bool,
    /// §4. Whether an optional field that is absent or null in JSON is written with its default or zero.
    /// Default false.
    pub fill_optional: bool,
    /// §4. Whether a field that is filled gets the default of the IDL, if it has one; else zero. Default
    /// true.
    pub idl_defaults: bool,
    /// §5. Which absent fields are written to JSON. Default those with a default in the IDL.
    pub absent: Absent,
    /// §5. Whether the absence of a required field on the wire is tolerated. Default false.
    pub tolerate_missing: bool,
    /// §5. What NaN and infinities become in JSON. Default an error.
    pub non_finite: NonFinite,
    /// §5. Whether `<`, `>`, `&`, U+2028 and U+2029 are escaped in JSON. Default false.
    pub escape_html: bool,
    /// §3. Whether an argument or result that is a string itself is bare text instead of a JSON string.
    /// When read, a JSON string is understood too. Default true.
    pub bare_strings: bool,
    /// Limits.
    pub limits: JsonLimits,
}

impl Default for JsonOptions {
    fn default() -> JsonOptions {
        JsonOptions {
            strict: false,
            binary: Binary::Base64,
            enums: Enums::Number,
            int64: Int64::Annotated,
            i8_unsigned: false,
            unknown: Unknown::Skip,
            duplicates: Duplicates::First,
            fill_required: true,
            fill_optional: false,
            idl_defaults: true,
            absent: Absent::Declared,
            tolerate_missing: false,
            non_finite: NonFinite::Refuse,
            escape_html: false,
            bare_strings: true,
            limits: JsonLimits::default(),
        }
    }
}

impl JsonOptions {
    /// Refuses everything doubtful: other kinds, numbers out of range, unknown and repeated members,
    /// missing required fields. Strings are JSON strings everywhere.
    pub fn strict() -> JsonOptions {
        JsonOptions {
            strict: true,
            unknown: Unknown::Refuse,
            duplicates: Duplicates::Refuse,
            fill_required: false,
            bare_strings: false,
            ..JsonOptions::default()
        }
    }
}

/// What a `binary` is in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Binary {
    /// Base64 with the standard alphabet and padding.
    #[default]
    Base64,
    /// The bytes as text.
    Text,
}

/// How enums are written to JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Enums {
    /// As numbers.
    #[default]
    Number,
    /// By name; a number that has none stays a number.
    Name,
}

/// How i64 values are written to JSON. Keys of maps are always text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Int64 {
    /// As numbers, except in fields with `api.js_conv`: as text there, also inside of containers.
    #[default]
    Annotated,
    /// As numbers.
    Number,
    /// As text.
    Text,
}

/// What happens to members of an object and fields on the wire that the IDL does not know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Unknown {
    /// They are left out.
    #[default]
    Skip,
    /// They are an error.
    Refuse,
    /// Fields on the wire are kept in JSON, all of a struct together as base64 under
    /// [`UNKNOWN_KEY`](super::UNKNOWN_KEY), and written back from there. Other unknown members of JSON
    /// are left out.
    Keep,
}

/// Which of several members with the same key counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Duplicates {
    /// The first. Repeated keys of maps are all written.
    #[default]
    First,
    /// The last. Repeated keys of maps are all written.
    Last,
    /// A repeated member is an error, also in maps.
    Refuse,
}

/// Which fields that are absent on the wire are written to JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Absent {
    /// None.
    Omit,
    /// Those with a default in the IDL.
    #[default]
    Declared,
    /// Those too that are not optional, with zero.
    All,
}

/// What a double that is no number becomes in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NonFinite {
    /// An error.
    #[default]
    Refuse,
    /// `null`.
    Null,
}

/// Limits of one conversion. Exceeding one is `CODEC_LIMIT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct JsonLimits {
    /// Structs and containers within each other, in JSON too. Default 64.
    pub depth: u8,
    /// Bytes of output. Default the protocol's frame limit.
    pub bytes: usize,
    /// Elements or pairs of one container. Default those that the protocol can count.
    pub elements: usize,
}

impl Default for JsonLimits {
    fn default() -> JsonLimits {
        JsonLimits { depth: Limits::DEFAULT.depth, bytes: Limits::MAX_FRAME_BYTES, elements: 0x7FFF_FFFF }
    }
}
