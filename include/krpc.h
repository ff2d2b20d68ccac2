/*
 * krpc.h - libkrpc: the protocols of ByteDance's Kitex behind one C ABI.
 *
 * SPDX-License-Identifier: Apache-2.0
 * Generated from src/capi by `make header`. C99 and later, C++17 and later.
 *
 * Ownership. Handles are opaque pointers; each word below says who frees them.
 *   owned     yours: free it exactly once with the type's `_free`. Freeing NULL does nothing.
 *   borrowed  belongs to another handle, named in the text: never free it, and don't use it
 *             after that handle is gone.
 *   taken     given away: the function frees it, also when it fails.
 *   Arguments are borrowed for the call unless their text says otherwise. Freeing handles in
 *   any order is safe; a handle keeps alive what it needs.
 *
 * Threads. Every function has one of these words.
 *   any thread               at any time, also concurrently with the same handle.
 *   one at a time            from any thread, but never two calls with the same handle at once.
 *   callback only            inside the callback that received the handle.
 *   never from a callback    may wait for callbacks to return, so it must not run inside one.
 *   ", once"                 the handle is gone afterwards.
 *
 * Strings. A `krpc_str` is pointer and length in bytes, without a terminating NUL; NULL with
 *   length 0 is the empty string. Make one with KRPC_STR("literal") or krpc_cstr(pointer); print
 *   one with printf("%.*s", (int)text.len, text.ptr). Names and addresses you pass in are UTF-8.
 *   Text that the library makes is UTF-8; text of peers passes unchanged.
 *
 * Failures. A function that can fail returns a `krpc_status` (KRPC_OK is 0), or NULL instead of a
 *   handle. A last parameter `krpc_error **error` may be NULL; otherwise it receives NULL on
 *   success and an owned error on failure. Other outputs are cleared first and set on success.
 *   A mistake of the caller is KRPC_STATUS_INVALID_ARGUMENT with the parameter's name.
 *
 * Growth. Structs that start with `struct_size` are initialised with their KRPC_..._INIT macro and
 *   only ever get new fields at the end. Numbers of enums are never reused; treat unknown ones as
 *   legal.
 *
 * Processes. In the child of a fork, handles from before it are FORKED: functions that take one say
 *   so, getters give their neutral value, and freeing one only forgets it: what is behind it stays,
 *   no destroy function runs, the parent notices nothing. New handles work, whatever other threads
 *   were doing at the fork; the child sets its own log function. A child that is forked inside a
 *   callback must not return from it. See `krpc_fork_close_inherited`. A program may exit at any
 *   time, from any thread, with threads of the library at work; what was under way is then lost.
 *
 * The library creates no thread and prints nothing when it is loaded; it never touches signals,
 * the environment or the locale of the process.
 */

#ifndef KRPC_H
#define KRPC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/**
 * Bit of `krpc_completion.flags`: the callback runs on the I/O thread, right where the call ends, with no
 * other thread on the way. It must not block: it keeps all connections of that thread waiting; one that
 * takes more than 10 ms is reported in the log, and blocking functions are WOULD_DEADLOCK. Starting the
 * next call there is fine. Where a call ends elsewhere, or inside another inline callback or handler, the
 * callback runs as without the bit.
 */
#define KRPC_COMPLETION_FLAG_INLINE 1

/**
 * Flag of a method, for clients and services: it is never answered, as declared `oneway` in the IDL. A
 * handler must still free the request; the connection's next request waits for that.
 */
#define KRPC_METHOD_FLAG_ONEWAY 1

/**
 * Flag for `krpc_service_add_method`: the handler runs on the I/O thread and must not block. Saves two
 * thread switches a call.
 */
#define KRPC_METHOD_FLAG_INLINE 2

/**
 * Bit of `krpc_stream_options.flags`: the server is told the time that is left, and this library's ends the
 * stream then. Kitex ignores it.
 */
#define KRPC_STREAM_FLAG_TELL_TIMEOUT 1

/**
 * Bit of `krpc_stream_options.flags`: a receive timeout leaves the stream as it is. The recv fails once, and
 * may be called again. Without it the stream ends, and the server is told.
 */
#define KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT 2

/** As a time or a timeout: never. */
#define KRPC_FOREVER INT64_MAX

/**
 * The ABI's number: raised when an existing function or struct changes its meaning, never by
 * additions. It is the number in the library's SONAME.
 */
#define KRPC_ABI_VERSION 0

/**
 * Outcome of a function or call. 0 is success. Families: argument and state 1xx, resolve and connect
 * 2xx, transport 3xx, protocol 4xx, timeout and cancel 5xx, remote 6xx, policy 7xx, codec and IDL 8xx,
 * internal 9xx. New numbers may be added: treat unknown ones as `KRPC_STATUS_INTERNAL`.
 */
enum krpc_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Success. */
    KRPC_OK = 0,
    /** A parameter is NULL, out of range or malformed; the text names it. */
    KRPC_STATUS_INVALID_ARGUMENT = 101,
    /** The call is not allowed in the object's present state. */
    KRPC_STATUS_INVALID_STATE = 102,
    /** This build or version does not support what was asked for. */
    KRPC_STATUS_UNSUPPORTED = 103,
    /** The client, server or runtime has been closed. */
    KRPC_STATUS_CLOSED = 104,
    /** The request's caller is no longer there; the answer was dropped. */
    KRPC_STATUS_GONE = 105,
    /** A blocking function was called on a thread that drives I/O. */
    KRPC_STATUS_WOULD_DEADLOCK = 106,
    /** A completion queue has no room; after some events were taken it may have. */
    KRPC_STATUS_QUEUE_FULL = 107,
    /** The handle was made before a fork and cannot be used in the child. */
    KRPC_STATUS_FORKED = 108,
    /** An address could not be parsed or a host name could not be resolved. */
    KRPC_STATUS_RESOLVE_FAILED = 201,
    /** The client has no address to call. */
    KRPC_STATUS_NO_ADDRESS = 202,
    /** The connection could not be established. */
    KRPC_STATUS_CONNECT_FAILED = 203,
    /** The connection was not established within the connect timeout. */
    KRPC_STATUS_CONNECT_TIMEOUT = 204,
    /** The server could not listen on an address. */
    KRPC_STATUS_LISTEN_FAILED = 205,
    /** The connection broke while the call was under way. */
    KRPC_STATUS_CONNECTION_LOST = 301,
    /** Bytes could not be written within the write timeout. */
    KRPC_STATUS_WRITE_TIMEOUT = 302,
    /** A started packet did not arrive within the read timeout. */
    KRPC_STATUS_READ_TIMEOUT = 303,
    /** The connection was idle longer than the idle timeout. */
    KRPC_STATUS_IDLE_TIMEOUT = 304,
    /** The TTHeader or mesh header is malformed. */
    KRPC_STATUS_BAD_HEADER = 401,
    /** The payload is of no known protocol. */
    KRPC_STATUS_BAD_PAYLOAD = 402,
    /** The message envelope is malformed or of a wrong type. */
    KRPC_STATUS_BAD_MESSAGE = 403,
    /** A frame is larger than the configured limit. */
    KRPC_STATUS_FRAME_TOO_LARGE = 404,
    /** The reply is for another method. */
    KRPC_STATUS_WRONG_METHOD = 405,
    /** The reply carries another sequence id. */
    KRPC_STATUS_OUT_OF_SEQUENCE = 406,
    /** A message or header cannot be encoded within the protocol's limits. */
    KRPC_STATUS_ENCODE_FAILED = 407,
    /** A frame breaks the rules of its stream. */
    KRPC_STATUS_STREAM_PROTOCOL = 408,
    /** A payload does not match its checksum. */
    KRPC_STATUS_CHECKSUM_MISMATCH = 409,
    /** The call did not end within its timeout. */
    KRPC_STATUS_TIMEOUT = 501,
    /** The call was cancelled. */
    KRPC_STATUS_CANCELLED = 502,
    /** No message came within the stream's receive timeout. */
    KRPC_STATUS_RECV_TIMEOUT = 503,
    /** The peer answered with an application exception. */
    KRPC_STATUS_REMOTE_EXCEPTION = 601,
    /** The peer threw an exception declared in the IDL. */
    KRPC_STATUS_DECLARED_EXCEPTION = 602,
    /** The peer answered with a business status error. */
    KRPC_STATUS_BIZ_STATUS = 603,
    /** The peer's service does not have the method. */
    KRPC_STATUS_UNKNOWN_METHOD = 604,
    /** The peer does not have the service. */
    KRPC_STATUS_UNKNOWN_SERVICE = 605,
    /** A limit on calls or connections was hit. */
    KRPC_STATUS_OVERLOAD = 701,
    /** The stream was reset because its messages were not taken in time. */
    KRPC_STATUS_SLOW_READER = 702,
    /** The stream was reset because its peer sent too many frames that carry nothing. */
    KRPC_STATUS_FLOOD = 703,
    /** Encoded data is malformed or ends too early. */
    KRPC_STATUS_MALFORMED = 801,
    /** Encoded data has another type than the reader asked for. */
    KRPC_STATUS_TYPE_MISMATCH = 802,
    /** Encoded data exceeds a depth, size or count limit. */
    KRPC_STATUS_CODEC_LIMIT = 803,
    /** A required field is missing. */
    KRPC_STATUS_MISSING_FIELD = 804,
    /** The IDL does not know a field, and the options refuse unknown ones. */
    KRPC_STATUS_UNKNOWN_FIELD = 805,
    /** An IDL has errors; the text shows them with their places. */
    KRPC_STATUS_IDL_INVALID = 806,
    /** A failure inside the library; please report it with its text. */
    KRPC_STATUS_INTERNAL = 901,
    /** The operating system refused a thread, descriptor or memory. */
    KRPC_STATUS_OUT_OF_RESOURCES = 902,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_status krpc_status;
#else
typedef int32_t krpc_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** Why something is to end. */
enum krpc_cause
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** It is not. */
    KRPC_CAUSE_NONE = 0,
    /** The host cancelled it. */
    KRPC_CAUSE_BY_HOST = 1,
    /** Its deadline has passed. */
    KRPC_CAUSE_DEADLINE = 2,
    /** Its client or queue was closed. */
    KRPC_CAUSE_CLOSED = 3,
    /** Who waited for it has left. */
    KRPC_CAUSE_CALLER_GONE = 4,
    /** Its runtime was shut down. */
    KRPC_CAUSE_SHUTDOWN = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_cause krpc_cause;
#else
typedef int32_t krpc_cause;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** Where in a call's life it failed. */
enum krpc_phase
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Not tied to a phase of a call. */
    KRPC_PHASE_NONE = 0,
    /** Finding an address. */
    KRPC_PHASE_RESOLVE = 1,
    /** Getting a connection. */
    KRPC_PHASE_CONNECT = 2,
    /** Encoding or writing the request. */
    KRPC_PHASE_SEND = 3,
    /** Waiting for the reply. */
    KRPC_PHASE_WAIT = 4,
    /** Decoding what arrived. */
    KRPC_PHASE_DECODE = 5,
    /** In a handler. */
    KRPC_PHASE_HANDLER = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_phase krpc_phase;
#else
typedef int32_t krpc_phase;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** How much a log line matters. */
enum krpc_log_level
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Something failed that nobody else reports, such as a panic inside the library. */
    KRPC_LOG_LEVEL_ERROR = 1,
    /** A peer misbehaved, or a limit was hit. */
    KRPC_LOG_LEVEL_WARN = 2,
    /** Start and end of servers and runtimes. */
    KRPC_LOG_LEVEL_INFO = 3,
    /** Single connections and calls. */
    KRPC_LOG_LEVEL_DEBUG = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_log_level krpc_log_level;
#else
typedef int32_t krpc_log_level;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** How many messages a method takes and gives. */
enum krpc_streaming
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** One message each, on every transport. */
    KRPC_STREAMING_NONE = 0,
    /** One message each, on a streaming transport. */
    KRPC_STREAMING_UNARY = 1,
    /** Many requests, one response. */
    KRPC_STREAMING_CLIENT = 2,
    /** One request, many responses. */
    KRPC_STREAMING_SERVER = 4,
    /** Many of both. */
    KRPC_STREAMING_BIDIRECTIONAL = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_streaming krpc_streaming;
#else
typedef int32_t krpc_streaming;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * How requests are framed. Replies may come in any of these forms, and servers accept all of them on
 * one port.
 */
enum krpc_transport
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** TTHeader around a framed payload: what Kitex clients send. Carries metainfo. The default. */
    KRPC_TRANSPORT_TTHEADER_FRAMED = 1,
    /** TTHeader around a bare payload. Carries metainfo. */
    KRPC_TRANSPORT_TTHEADER = 2,
    /** Thrift framed. Carries no metainfo and no business status. */
    KRPC_TRANSPORT_FRAMED = 3,
    /** Thrift buffered. Carries no metainfo and no business status. */
    KRPC_TRANSPORT_BUFFERED = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_transport krpc_transport;
#else
typedef int32_t krpc_transport;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** A choice that has a default. */
enum krpc_choice
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** What the field's text says, or `strict`. */
    KRPC_CHOICE_DEFAULT = 0,
    /** Yes. */
    KRPC_CHOICE_YES = 1,
    /** No. */
    KRPC_CHOICE_NO = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_choice krpc_choice;
#else
typedef int32_t krpc_choice;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** What a `binary` is in JSON. */
enum krpc_json_binary
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Base64 with the standard alphabet and padding. */
    KRPC_JSON_BINARY_BASE64 = 1,
    /** The bytes as text. */
    KRPC_JSON_BINARY_TEXT = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_json_binary krpc_json_binary;
#else
typedef int32_t krpc_json_binary;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** How enums are written to JSON. Both are read. */
enum krpc_json_enums
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** As numbers. */
    KRPC_JSON_ENUMS_NUMBER = 1,
    /** By name; a number that has none stays a number. */
    KRPC_JSON_ENUMS_NAME = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_json_enums krpc_json_enums;
#else
typedef int32_t krpc_json_enums;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** How i64 are written to JSON. Numbers and text are both read, exactly. */
enum krpc_json_int64
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** As numbers, except in fields with the annotation `api.js_conv`: as text there. */
    KRPC_JSON_INT64_ANNOTATED = 1,
    /** As numbers. */
    KRPC_JSON_INT64_NUMBER = 2,
    /** As text. */
    KRPC_JSON_INT64_TEXT = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_json_int64 krpc_json_int64;
#else
typedef int32_t krpc_json_int64;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** What happens to members of JSON and fields of messages that the IDL does not know. */
enum krpc_json_unknown
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** They are left out. */
    KRPC_JSON_UNKNOWN_SKIP = 1,
    /** They are UNKNOWN_FIELD. */
    KRPC_JSON_UNKNOWN_REFUSE = 2,
    /**
     * Fields of messages are kept in JSON, all of a struct together as base64 under "$unknown", and
     * written back from there. Other members of JSON are left out.
     */
    KRPC_JSON_UNKNOWN_KEEP = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_json_unknown krpc_json_unknown;
#else
typedef int32_t krpc_json_unknown;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** Which of several members with the same key counts. */
enum krpc_json_duplicates
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** The first. */
    KRPC_JSON_DUPLICATES_FIRST = 1,
    /** The last. */
    KRPC_JSON_DUPLICATES_LAST = 2,
    /** They are refused, also in maps. */
    KRPC_JSON_DUPLICATES_REFUSE = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_json_duplicates krpc_json_duplicates;
#else
typedef int32_t krpc_json_duplicates;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** Which fields that a message does not have are written to JSON. */
enum krpc_json_absent
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** None. */
    KRPC_JSON_ABSENT_OMIT = 1,
    /** Those with a default in the IDL. */
    KRPC_JSON_ABSENT_DECLARED = 2,
    /** Those too that are not optional, with zero. */
    KRPC_JSON_ABSENT_ALL = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_json_absent krpc_json_absent;
#else
typedef int32_t krpc_json_absent;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** What a double that is no number becomes in JSON. */
enum krpc_json_non_finite
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** An error. */
    KRPC_JSON_NON_FINITE_REFUSE = 1,
    /** `null`. */
    KRPC_JSON_NON_FINITE_NULL = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_json_non_finite krpc_json_non_finite;
#else
typedef int32_t krpc_json_non_finite;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** How a message's bytes are encoded. An open number: other values pass through unchanged. */
enum krpc_encoding
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Bytes of no declared form. */
    KRPC_ENCODING_RAW = 0,
    /** A struct in Thrift Binary. */
    KRPC_ENCODING_THRIFT_BINARY = 1,
    /** A struct in Thrift Compact. */
    KRPC_ENCODING_THRIFT_COMPACT = 2,
    /** A protobuf message. */
    KRPC_ENCODING_PROTOBUF = 3,
    /** JSON text in UTF-8. */
    KRPC_ENCODING_JSON = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_encoding krpc_encoding;
#else
typedef int32_t krpc_encoding;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** How far a pair travels. If A calls B, and B calls C while it answers A: */
enum krpc_metainfo_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** From A to B, where it arrives as UPSTREAM; C does not see it. */
    KRPC_METAINFO_KIND_TRANSIENT = 1,
    /** From A to B, and from there to C and every service below. */
    KRPC_METAINFO_KIND_PERSISTENT = 2,
    /** From B's handler back to A, beside the reply; no further. */
    KRPC_METAINFO_KIND_BACKWARD = 3,
    /** What arrived in B as TRANSIENT: readable there, never sent on. */
    KRPC_METAINFO_KIND_UPSTREAM = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_metainfo_kind krpc_metainfo_kind;
#else
typedef int32_t krpc_metainfo_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** What an event is about. */
enum krpc_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** The queue was shut down, and nothing will come any more. Carries nothing. */
    KRPC_EVENT_KIND_QUEUE_END = 0,
    /** A call has ended: `reply`, or NULL if the operation's handle took it. */
    KRPC_EVENT_KIND_CALL = 1,
    /** A server has a request: `request`. */
    KRPC_EVENT_KIND_REQUEST = 2,
    /** A server asks something: `decision`. */
    KRPC_EVENT_KIND_DECISION = 3,
    /** A server has a stream: `stream`. */
    KRPC_EVENT_KIND_STREAM = 4,
    /**
     * An operation of a stream has ended, or the opening of one: `reply`, or NULL if the operation's handle
     * took it.
     */
    KRPC_EVENT_KIND_STREAM_CALL = 5,
    /**
     * A stream that delivers has a message: `message`. It is NULL where only a receive timeout has passed, and
     * `error` says so.
     */
    KRPC_EVENT_KIND_STREAM_MESSAGE = 6,
    /** A stream that delivers has come to its end: status OK when the peer has said everything, else `error`. */
    KRPC_EVENT_KIND_STREAM_END = 7,
    /** An observer of streams has seen something: `record`. */
    KRPC_EVENT_KIND_STREAM_RECORD = 8,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_event_kind krpc_event_kind;
#else
typedef int32_t krpc_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** How a report is written. */
enum krpc_report_format
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /**
     * One line for people, e.g. "3 live handles: 2 message, 1 reply"; in a child of fork also how many of
     * the parent's handles it has freed, whose memory stays.
     */
    KRPC_REPORT_FORMAT_TEXT = 1,
    /**
     * A JSON object with the live and created handles of every type, and how many were freed after a fork
     * (`left_behind`).
     */
    KRPC_REPORT_FORMAT_JSON = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_report_format krpc_report_format;
#else
typedef int32_t krpc_report_format;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** How further attempts come about. */
enum krpc_retry_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** After a failed attempt, one after the other. */
    KRPC_RETRY_FAILURE = 0,
    /** After a delay without an answer, side by side; the first end of any kind ends the call. */
    KRPC_RETRY_BACKUP = 1,
    /** Both: after a delay or a failure, and an attempt that fails leaves the call to the others. */
    KRPC_RETRY_MIXED = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_retry_kind krpc_retry_kind;
#else
typedef int32_t krpc_retry_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** Which errors are worth another attempt, of the kinds FAILURE and MIXED. */
enum krpc_retry_errors
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** Timeouts of an attempt only: the default. */
    KRPC_RETRY_ERRORS_TIMEOUTS = 0,
    /** All, but business errors: those are answers. */
    KRPC_RETRY_ERRORS_ALL = 1,
    /** All but timeouts: for methods that must not run twice at once. */
    KRPC_RETRY_ERRORS_NO_TIMEOUTS = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_retry_errors krpc_retry_errors;
#else
typedef int32_t krpc_retry_errors;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** Whether a field may or must be absent. */
enum krpc_requiredness
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** The IDL does not say: it may be absent, but is usually written. */
    KRPC_REQUIREDNESS_DEFAULT = 0,
    /** It must be there. */
    KRPC_REQUIREDNESS_REQUIRED = 1,
    /** It may be absent. */
    KRPC_REQUIREDNESS_OPTIONAL = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_requiredness krpc_requiredness;
#else
typedef int32_t krpc_requiredness;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** What has happened on a stream (ttstream.md §9.5). */
enum krpc_stream_event_kind
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** A client's stream has a connection, a server's is about to be handled. */
    KRPC_STREAM_EVENT_KIND_START = 1,
    /** A message was sent: it is within the stream's budget. Or it could not be. */
    KRPC_STREAM_EVENT_KIND_SEND = 2,
    /** A message was received, or a recv has failed. The end of messages is no such event. */
    KRPC_STREAM_EVENT_KIND_RECV = 3,
    /**
     * The stream is over. Messages that had arrived may still be received, and are events, afterwards. Of an
     * opening that failed it is the only event.
     */
    KRPC_STREAM_EVENT_KIND_END = 4,
    /** Client: the server's header has come. */
    KRPC_STREAM_EVENT_KIND_HEADER = 5,
    /** Client: a META frame has come, from a proxy on the way. */
    KRPC_STREAM_EVENT_KIND_META = 6,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_stream_event_kind krpc_stream_event_kind;
#else
typedef int32_t krpc_stream_event_kind;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/** Type of a Thrift value, as on the wire. Other numbers are not types. */
enum krpc_type
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
    /** No type: ends a struct; stands for the element type of an empty container that names none. */
    KRPC_TYPE_STOP = 0,
    /** What some servers answer for `void`. Can be skipped, not written. */
    KRPC_TYPE_VOID = 1,
    /** A bool. */
    KRPC_TYPE_BOOL = 2,
    /** An i8 (`byte`). */
    KRPC_TYPE_I8 = 3,
    /** A double. */
    KRPC_TYPE_DOUBLE = 4,
    /** An i16. */
    KRPC_TYPE_I16 = 6,
    /** An i32, or an enum. */
    KRPC_TYPE_I32 = 8,
    /** An i64. */
    KRPC_TYPE_I64 = 10,
    /** A string or binary. */
    KRPC_TYPE_STRING = 11,
    /** A struct, union or exception. */
    KRPC_TYPE_STRUCT = 12,
    /** A map. */
    KRPC_TYPE_MAP = 13,
    /** A set. */
    KRPC_TYPE_SET = 14,
    /** A list. */
    KRPC_TYPE_LIST = 15,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum krpc_type krpc_type;
#else
typedef int32_t krpc_type;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * Calls one destination. Any number of threads may call at once; each call in flight has a connection
 * of its own, taken from a pool. Blocking calls run on the calling thread and start no other.
 *
 * Made by `krpc_client_build`. Free it with `krpc_client_free`.
 */
typedef struct krpc_client krpc_client;

/**
 * Builder of a client. Consumed by `krpc_client_build`, also on failure; else free it with
 * `krpc_client_options_free`.
 */
typedef struct krpc_client_options krpc_client_options;

/**
 * The frame of a piece of work: deadline, cancel and metainfo of the calls made in it, given to them as
 * `parent` in their options. Shared by reference: each handle is freed by its owner, the work ends when
 * it is cancelled or its deadline passes.
 *
 * From a request (`krpc_request_context`), where it ends when the caller is seen to leave, or made by
 * `krpc_context_new`. Free it with `krpc_context_free`.
 */
typedef struct krpc_context krpc_context;

/**
 * A question that the host answers once, in time: whether a server may handle a request. Without an
 * answer the default counts that was given with the hook.
 *
 * Free it with `krpc_decision_free` after answering; freeing it unanswered gives the default.
 */
typedef struct krpc_decision krpc_decision;

/**
 * A failure: status, text, phase, peer, method, and what the peer said. Immutable.
 *
 * Owned by whoever received it through an `error` output; borrowed when it comes from a reply or from
 * another error. Free an owned one with `krpc_error_free`.
 */
typedef struct krpc_error krpc_error;

/**
 * A Thrift IDL with all that it includes: checked, immutable, shared by threads. What is made from it
 * (shapes, methods, services) keeps what it needs. Free it with `krpc_idl_free`.
 *
 * Services, methods and structs are named as in the main file: `Chat`, `Chat/Say`, `Message`, and
 * `base.Base` for a struct of `base.thrift`.
 */
typedef struct krpc_idl krpc_idl;

/**
 * Immutable, reference-counted bytes and their encoding.
 *
 * Without a schema the message of a unary call is the *args* struct, the message of its reply the
 * *result* struct (field 0 is the return value). Sharing a message costs no copy.
 * Free an owned one with `krpc_message_free`.
 */
typedef struct krpc_message krpc_message;

/**
 * Key-value pairs that travel beside a call. A key is unique within its kind; keys and values are text
 * that passes unchanged. Only TTHeader carries them: framed and buffered connections drop them.
 *
 * Make one with `krpc_metainfo_new` to send it; those of requests and replies are borrowed and read
 * only. Free an owned one with `krpc_metainfo_free`.
 */
typedef struct krpc_metainfo krpc_metainfo;

/**
 * A method of a service, prepared once so that calls hash and copy no names. Immutable; may be shared
 * by threads and used with any client. Free it with `krpc_method_free`.
 */
typedef struct krpc_method krpc_method;

/**
 * Something under way: a call started by `krpc_client_start`, or what a function like
 * `krpc_stream_start_recv` started. It ends exactly once: with its result, by cancel, by deadline, by close of
 * its client, stream or queue, or with its runtime.
 *
 * Free it with `krpc_op_free`, at any time.
 */
typedef struct krpc_op krpc_op;

/**
 * A bounded queue of events: ends of calls, requests and streams of servers, messages of streams, what was observed of streams, questions. Any number of threads may take
 * from it; an event loop watches its descriptor.
 *
 * Shut it down with `krpc_queue_shutdown`, free it with `krpc_queue_free`.
 */
typedef struct krpc_queue krpc_queue;

/**
 * Reads a message: one struct in Thrift Binary, in the order of its bytes.
 *
 * The outermost struct is open from the start. `krpc_reader_field` goes from field to field and skips
 * the value of one that was not read. A list, set or map tells its count, and ends by itself with its
 * last element. A struct that is a value is begun and ended.
 *
 * Every step is checked: against the types that the bytes announce, the end of the message, and depth
 * 64. A count is never larger than the bytes that are left, so loops over it end soon even if a peer
 * lies. The first failure sticks: later steps fail with it, `krpc_reader_field` returns false, counts
 * are 0; so the status of single steps may be ignored, and `krpc_reader_end` reports it. Outputs of a
 * step that fails are 0, false or empty.
 *
 * Strings are views. They live as long as the reader; if the message has one segment, as every received
 * one has, also as long as the message.
 *
 * ```c
 * krpc_reader *r = krpc_reader_new(message, &error);
 * int16_t id;
 * int32_t type;
 * while (krpc_reader_field(r, &id, &type)) {
 *     switch (id) {                                         // fields not named here are skipped
 *     case 1: krpc_reader_string(r, &text); break;
 *     case 2: krpc_reader_i64(r, &at_ms); break;
 *     }
 * }
 * krpc_status status = krpc_reader_end(r, &error);          // the first failure, if any
 * krpc_reader_free(r);                                      // text ends here
 * ```
 */
typedef struct krpc_reader krpc_reader;

/**
 * The end of a call: message, pairs sent back, facts, and an error unless all went well. Immutable. Operations
 * on streams end with one too.
 *
 * Borrowed parts live as long as the reply. Free it with `krpc_reply_free`.
 */
typedef struct krpc_reply krpc_reply;

/**
 * A call to be answered exactly once: `krpc_request_reply`, `_throw`, `_fail_biz` or `_fail`, from any
 * thread, now or later. A second answer is INVALID_STATE; an answer whose caller has gone is GONE.
 *
 * Free it with `krpc_request_free` after answering; freeing it unanswered tells the caller "handler
 * gave no answer".
 */
typedef struct krpc_request krpc_request;

/**
 * Builder of a retry policy (governance.md §1). With one, a call may take several attempts, each with the
 * call's timeout for itself; the caller's deadline (`parent`) holds for all. Attempts that lose are
 * cancelled. What each attempt came to is in the reply: `krpc_reply_attempt`.
 *
 * Where it is used it is copied. Free it with `krpc_retry_free`.
 */
typedef struct krpc_retry krpc_retry;

/**
 * Threads that drive sockets ("krpc-io-N") and run handlers ("krpc-work-N"). They are made by
 * `krpc_runtime_new` and by work that comes, never at load, and are gone after `krpc_runtime_shutdown`
 * or `krpc_runtime_free`. All signals are blocked in them but those that report their own faults;
 * processes that a handler starts inherit that mask.
 *
 * Most programs need none: servers use a shared one that is made on first use and ends with its last
 * server. Free it with `krpc_runtime_free`; servers that still use it keep it alive.
 */
typedef struct krpc_runtime krpc_runtime;

/**
 * Listens and hands requests to handlers. All transports are served on every address.
 *
 * Made by `krpc_server_build`. Stop it with `krpc_server_stop`, free it with `krpc_server_free`.
 */
typedef struct krpc_server krpc_server;

/**
 * Builder of a server. Consumed by `krpc_server_build`, also on failure; else free it with
 * `krpc_server_options_free`.
 */
typedef struct krpc_server_options krpc_server_options;

/**
 * A named set of methods with their handlers, on its way into a server. Consumed by
 * `krpc_server_options_add_service`; else free it with `krpc_service_free`.
 */
typedef struct krpc_service krpc_service;

/**
 * The shape of messages: a struct of an IDL, or the request or result of a method. JSON, readers and
 * writers with a shape know fields by name and check them against the IDL.
 *
 * A request is seen as the value of its only argument, or as a struct of all arguments if there are none
 * or several; a result is the return value. The *args* or *result* struct that is around them on the wire
 * is neither seen nor written by hand.
 *
 * Immutable. Borrowed from a method or request, or owned: free that with `krpc_shape_free`.
 */
typedef struct krpc_shape krpc_shape;

/**
 * A stream of one method, at the client that opened it or in the hands of a server's handler. One thread may
 * send while another receives; at most one send and one recv wait at a time, another is INVALID_STATE.
 *
 * A client's is from `krpc_client_open_stream`, a server's from a handler or an event. Free it with
 * `krpc_stream_free`.
 */
typedef struct krpc_stream krpc_stream;

/**
 * One question to an interceptor of streams: what it is about, and what may be said to it. Borrowed for the call;
 * everything that is borrowed from it too.
 *
 * From the functions of a `krpc_stream_interceptor`.
 */
typedef struct krpc_stream_hook krpc_stream_hook;

/**
 * An event of a stream on its way through a queue. Read it with `krpc_stream_record_read`, free it with
 * `krpc_stream_record_free`, or with its event.
 */
typedef struct krpc_stream_record krpc_stream_record;

/**
 * Builds a message: one struct in Thrift Binary.
 *
 * The outermost struct is open from the start; `krpc_writer_finish` ends it. A field is announced with
 * `krpc_writer_field`, then its value follows; `krpc_writer_field_i32` and its sisters do both. A list,
 * set or map says its count first and ends by itself with its last element. A struct that is a value is
 * begun and ended.
 *
 * Every step is checked: type, order, count, depth (64). The first failure sticks, so that the status
 * of single steps may be ignored: `krpc_writer_finish` reports it, with the field it was in.
 *
 * ```c
 * krpc_writer *w = krpc_writer_new(KRPC_ENCODING_THRIFT_BINARY, NULL);
 * krpc_writer_field_struct_begin(w, 1);                    // argument 1: Message
 * krpc_writer_field_string(w, 1, KRPC_STR("hi"));          //   1: string text
 * krpc_writer_field_list(w, 3, KRPC_TYPE_I32, 2);          //   3: list<i32> marks
 * krpc_writer_i32(w, 7);
 * krpc_writer_i32(w, 8);
 * krpc_writer_struct_end(w);
 * krpc_message *args = krpc_writer_finish(w, &error);      // consumes w
 * ```
 */
typedef struct krpc_writer krpc_writer;

/** What one call does differently. Sized struct: start from `KRPC_CALL_OPTIONS_INIT`. */
typedef struct krpc_call_options {
    /** `sizeof(krpc_call_options)` as the caller was compiled. */
    size_t struct_size;
    /** For the whole call, connecting included, in milliseconds. 0: the client's; `KRPC_FOREVER`: none. */
    int64_t timeout_ms;
    /** Pairs that travel with the call, or NULL. Borrowed for the call. Carried by TTHeader only. */
    const krpc_metainfo *metainfo;
    /**
     * The work that the call is part of, or NULL: its end, deadline and pairs are the call's as well.
     * Borrowed for the call.
     */
    const krpc_context *parent;
    /** The call's own retry policy, which comes before its method's, or NULL. Copied. */
    const krpc_retry *retry;
} krpc_call_options;

/**
 * A view of text: pointer and length in bytes, not NUL-terminated. NULL with length 0 is the empty
 * string. Text that the library makes is UTF-8; text of peers passes unchanged.
 */
typedef struct krpc_str {
    /** First byte; may be NULL if `len` is 0. */
    const char *ptr;
    /** Length in bytes. */
    size_t len;
} krpc_str;

/**
 * What a client's connection pools have done so far. Sized struct: start from
 * `KRPC_CLIENT_STATS_INIT`.
 */
typedef struct krpc_client_stats {
    /** `sizeof(krpc_client_stats)` as the caller was compiled. */
    size_t struct_size;
    /** Connections established. */
    uint64_t dialled;
    /** Calls that used an idle connection. */
    uint64_t reused;
    /** Idle connections that turned out to be dead or too old. */
    uint64_t found_dead;
    /** Connections idle now. */
    uint64_t idle;
    /** Connections in use now, or being made; multiplexed ones always. */
    uint64_t busy;
    /** Calls that had to wait for a connection (`krpc_client_options_set_max_connections`). */
    uint64_t waited;
    /** Calls that ended as OVERLOAD because they found no connection in time. */
    uint64_t refused;
    /** Replies on multiplexed connections that came after their calls had ended. */
    uint64_t dropped_replies;
    /** Dials that failed. */
    uint64_t dials_failed;
    /**
     * How often a call or a warm-up went without a dial of its own, as another one had just failed
     * (`krpc_client_options_set_backoff_ms`).
     */
    uint64_t held_back;
    /** Idle connections that were closed because nobody asked for them within the idle timeout. */
    uint64_t expired;
} krpc_client_stats;

/**
 * Hears that an operation has ended. Owns `reply`: free it; it is NULL if `krpc_op_take_reply` took it first. Runs
 * on a thread of the runtime, one of a pool that only runs callbacks, where it may block (but see
 * `KRPC_COMPLETION_FLAG_INLINE`); never twice, never at once for one operation.
 */
typedef void (*krpc_completion_fn)(void *user_data, krpc_reply *reply);

/**
 * Releases what the host lent: memory behind a message, or the state of a callback. Called exactly
 * once, on any thread, with the `user_data` given beside it; also if the function it was given to
 * fails. Nothing uses `user_data` afterwards. Must not block.
 */
typedef void (*krpc_destroy_fn)(void *user_data);

/**
 * How the host hears that an operation has ended: by `callback`, by an event in a `queue`, or only by asking
 * its handle (neither). Sized struct: start from `KRPC_COMPLETION_INIT`.
 */
typedef struct krpc_completion {
    /** `sizeof(krpc_completion)` as the caller was compiled. */
    size_t struct_size;
    /** Called with `user_data` and the reply; NULL for the other styles. */
    krpc_completion_fn callback;
    /** Given to `callback` and `destroy`. */
    void *user_data;
    /** Called once with `user_data` when nothing will use it any more; also if the start fails. Optional. */
    krpc_destroy_fn destroy;
    /** Receives an event; a place for it is reserved at the start. NULL for the other styles. */
    krpc_queue *queue;
    /** The host's word for the operation, in its event and for `krpc_queue_cancel`. */
    uint64_t tag;
    /** 0 or `KRPC_COMPLETION_FLAG_INLINE`, which is for a `callback`. */
    uint32_t flags;
    /** Must be 0. */
    uint32_t reserved;
} krpc_completion;

/** One of many calls started together. */
typedef struct krpc_call {
    /** From `krpc_client_method`. */
    const krpc_method *method;
    /** The *args* struct, borrowed; NULL is an empty one. */
    const krpc_message *request;
    /** The host's word for the call, in its event and for `krpc_queue_cancel`. */
    uint64_t tag;
} krpc_call;

/**
 * How JSON and messages become each other; 0 is the default in every field, and behaves as Kitex's JSON
 * generic does. Sized struct: start from `KRPC_JSON_OPTIONS_INIT`.
 */
typedef struct krpc_json_options {
    /** `sizeof(krpc_json_options)` as the caller was compiled. */
    size_t struct_size;
    /** Bytes of output. 0: as many as a frame can carry. */
    size_t max_bytes;
    /** Elements or pairs of one container. 0: as many as the protocol can count. */
    size_t max_elements;
    /** Structs and containers within each other, 1 to 255. 0: 64. */
    uint32_t max_depth;
    /**
     * 1: refuse what would otherwise be changed silently: values of another kind than their type ("12" for
     * an i32), numbers out of range or with a fraction, null inside containers, strings that are not UTF-8,
     * unknown and repeated members, absent required fields, bare strings. The fields below decide on their
     * own where they are not 0.
     */
    uint32_t strict;
    /** What a `binary` is: a `krpc_json_binary`. 0: base64. */
    int32_t binary;
    /** How enums are written to JSON: a `krpc_json_enums`. 0: as numbers. */
    int32_t enums;
    /** How i64 are written to JSON: a `krpc_json_int64`. 0: by annotation. */
    int32_t int64;
    /** Unknown members and fields: a `krpc_json_unknown`. 0: skip; strict: refuse. */
    int32_t unknown;
    /** Repeated members: a `krpc_json_duplicates`. 0: the first; strict: refuse. */
    int32_t duplicates;
    /** Absent fields in JSON: a `krpc_json_absent`. 0: those with a default in the IDL. */
    int32_t absent;
    /** NaN and infinities in JSON: a `krpc_json_non_finite`. 0: refuse. */
    int32_t non_finite;
    /** Whether i8 are written to JSON as 0 to 255: a `krpc_choice`. 0: no. */
    int32_t i8_unsigned;
    /**
     * Whether a required field that is absent in JSON is written with its default or zero, instead of
     * being an error: a `krpc_choice`. 0: yes; strict: no.
     */
    int32_t fill_required;
    /**
     * Whether an optional field that is absent in JSON is written with its default or zero: a
     * `krpc_choice`. 0: no.
     */
    int32_t fill_optional;
    /** Whether fields that are filled get the default of the IDL instead of zero: a `krpc_choice`. 0: yes. */
    int32_t idl_defaults;
    /** Whether the absence of a required field in a message is tolerated: a `krpc_choice`. 0: no. */
    int32_t tolerate_missing;
    /** Whether `<`, `>`, `&`, U+2028 and U+2029 are escaped in JSON: a `krpc_choice`. 0: no. */
    int32_t escape_html;
    /**
     * Whether an argument or result that is a string itself is bare text instead of a JSON string; when
     * read, a JSON string is understood too: a `krpc_choice`. 0: yes; strict: no.
     */
    int32_t bare_strings;
} krpc_json_options;

/** A file of an IDL that is in memory. Has no more fields in later versions. */
typedef struct krpc_idl_file {
    /** Its path, as other files include it; UTF-8. */
    krpc_str name;
    /** What is in it. */
    krpc_str text;
} krpc_idl_file;

/**
 * What an IDL says of a method. Texts are borrowed from the `krpc_idl`. Sized struct: start from
 * `KRPC_METHOD_INFO_INIT`.
 */
typedef struct krpc_method_info {
    /** `sizeof(krpc_method_info)` as the caller was compiled. */
    size_t struct_size;
    /** Its name. */
    krpc_str name;
    /** The service that declares it: another one than was asked for if it is inherited. */
    krpc_str service;
    /** The type of its only argument, as written; empty if it has none or several. */
    krpc_str request;
    /** The type of its result, as written; "void" if it has none. */
    krpc_str result;
    /** How many messages: a `krpc_streaming`. */
    int32_t streaming;
    /** 1 if it is never answered, else 0. */
    uint32_t oneway;
    /** Number of arguments. */
    uint32_t argument_count;
    /** Number of exceptions that it declares. */
    uint32_t exception_count;
} krpc_method_info;

/**
 * Takes a log line. `target`: the part of the library that speaks. `text`: UTF-8, without a final
 * newline. Both views are valid during the call only.
 *
 * Called on any thread, on several at once, never with a lock of the library held. Must not block; may
 * call functions of the library that don't.
 */
typedef void (*krpc_log_fn)(void *user_data,
                            krpc_log_level level,
                            krpc_str target,
                            krpc_str text);

/** A view of bytes. NULL with length 0 is legal. */
typedef struct krpc_bytes {
    /** First byte; may be NULL if `len` is 0. */
    const uint8_t *ptr;
    /** Length in bytes. */
    size_t len;
} krpc_bytes;

/**
 * One event. It owns what it carries until `krpc_event_release`; set a pointer to NULL to keep what is
 * behind it. New fields are only appended: pass `sizeof(krpc_event)` where asked for.
 */
typedef struct krpc_event {
    /** A `krpc_event_kind`. */
    int32_t kind;
    /** How the operation or the stream ended, what a record says; OK for other kinds. */
    int32_t status;
    /** The host's word for what it belongs to. */
    uint64_t tag;
    /** The reply of a call, or NULL. */
    krpc_reply *reply;
    /** The request of a server, or NULL. */
    krpc_request *request;
    /** The question of a server, or NULL. */
    krpc_decision *decision;
    /** The stream of a server, or NULL. */
    krpc_stream *stream;
    /** The message of a stream, or NULL. */
    krpc_message *message;
    /** Why a stream ended, or NULL. */
    krpc_error *error;
    /** Of a stream that delivers or is observed: 0 for its first event, one more for each. 0 for other kinds. */
    uint64_t sequence;
    /** What an observer has seen of a stream, or NULL. Only where `kind` says so. */
    krpc_stream_record *record;
} krpc_event;

/** What a queue has seen until now. Sized struct: start from `KRPC_QUEUE_STATS_INIT`. */
typedef struct krpc_queue_stats {
    /** `sizeof(krpc_queue_stats)` as the caller was compiled. */
    size_t struct_size;
    /** Places promised to operations under way. */
    uint64_t reserved;
    /** Events waiting to be taken. */
    uint64_t queued;
    /** Most events that ever waited at once. */
    uint64_t max_depth;
    /** Times that something found no room. */
    uint64_t full;
    /** Events dropped because their operation was freed. */
    uint64_t stale;
    /** Times that the descriptor was made readable. */
    uint64_t wakes;
} krpc_queue_stats;

/**
 * Facts about a call that has ended. Sized struct: set `struct_size` (or use `KRPC_FACTS_INIT`) before
 * passing it to `krpc_reply_facts`.
 */
typedef struct krpc_facts {
    /** `sizeof(krpc_facts)` as the caller was compiled. */
    size_t struct_size;
    /** Bytes of the request on the wire, 0 if nothing was sent. */
    uint64_t request_bytes;
    /** Bytes of the reply on the wire, 0 if none came. */
    uint64_t reply_bytes;
    /** From the start of the call to its end, in microseconds. */
    uint64_t elapsed_us;
    /** Connections tried, including addresses that could not be reached. */
    uint32_t attempts;
    /** 1 if the call used a connection that an earlier call had left, else 0. */
    uint32_t reused_connection;
} krpc_facts;

/** One attempt of a call with a retry policy. Sized struct: start from `KRPC_ATTEMPT_INIT`. */
typedef struct krpc_attempt {
    /** `sizeof(krpc_attempt)` as the caller was compiled. */
    size_t struct_size;
    /** Where it went; empty if it found no address. Borrowed from the reply. */
    krpc_str peer;
    /** From the start of the call to its own, in microseconds. */
    uint64_t begun_us;
    /** How long it took, in microseconds; 0 of one that was under way when the call ended. */
    uint64_t took_us;
    /** How it ended, a `krpc_status`: OK also for an answer that is a business error, CANCELLED if it was given up. */
    int32_t status;
    /** 1 if it was under way when the call ended, else 0. */
    uint32_t running;
} krpc_attempt;

/**
 * Who made a caller's connection through a unix socket. Sized struct: start from
 * `KRPC_PEER_CREDENTIALS_INIT`.
 */
typedef struct krpc_peer_credentials {
    /** `sizeof(krpc_peer_credentials)` as the caller was compiled. */
    size_t struct_size;
    /**
     * The process that connected, as this process's namespace sees it; 0 if it does not. By the time of the
     * request it may have ended, and its number may be another's: trust the user, log the process.
     */
    int32_t pid;
    /** Its effective user id when it connected. */
    uint32_t uid;
    /** Its effective group id when it connected. */
    uint32_t gid;
} krpc_peer_credentials;

/** How a runtime is made. Sized struct: start from `KRPC_RUNTIME_OPTIONS_INIT`. */
typedef struct krpc_runtime_options {
    /** `sizeof(krpc_runtime_options)` as the caller was compiled. */
    size_t struct_size;
    /** Threads that drive sockets, at most 1024. 0: the default, 1. */
    uint32_t io_threads;
    /** Most threads that run handlers, started when needed. 0: the default, 64. */
    uint32_t worker_threads;
} krpc_runtime_options;

/** What a server has done so far. Sized struct: start from `KRPC_SERVER_STATS_INIT`. */
typedef struct krpc_server_stats {
    /** `sizeof(krpc_server_stats)` as the caller was compiled. */
    size_t struct_size;
    /** Connections accepted. */
    uint64_t accepted;
    /** Connections closed at once because too many were open (`krpc_server_options_set_max_connections`). */
    uint64_t refused;
    /** Connections open now. */
    uint64_t open;
    /** Requests being handled now. */
    uint64_t in_flight;
    /**
     * Requests on multiplexed connections that could not be read, because of a wrong checksum or otherwise. As
     * with Kitex they get no answer, and their connection goes on; the first one of a connection is logged.
     */
    uint64_t passed_over;
} krpc_server_stats;

/** What a stop left behind. Sized struct: start from `KRPC_STOPPED_INIT`. */
typedef struct krpc_stopped {
    /** `sizeof(krpc_stopped)` as the caller was compiled. */
    size_t struct_size;
    /** Connections that ended by themselves within the grace. */
    uint64_t finished;
    /** Connections that were cut off. */
    uint64_t cut_off;
} krpc_stopped;

/**
 * Answers a request. It owns `request`: answer it once and free it, now or later, on this thread or
 * another. Several calls may run at once, with the same `user_data`.
 *
 * Runs on a thread of the runtime's handler pool, where it may block; an inline handler runs on the
 * I/O thread, where it must not. It must not throw, longjmp or end the thread.
 */
typedef void (*krpc_handler_fn)(void *user_data, krpc_request *request);

/**
 * Answers an access check at once: true allows the request; false refuses it with the reason that was set
 * by `krpc_decision_reject`, or without one. `decision` is borrowed for the call. Runs on the I/O thread
 * and must not block.
 */
typedef bool (*krpc_acl_fn)(void *user_data, const krpc_decision *decision);

/**
 * What an IDL says of a field. Texts are borrowed from the `krpc_shape`. Sized struct: start from
 * `KRPC_FIELD_INFO_INIT`.
 */
typedef struct krpc_field_info {
    /** `sizeof(krpc_field_info)` as the caller was compiled. */
    size_t struct_size;
    /** Its name. */
    krpc_str name;
    /** Its name in JSON: another one if an annotation says so. */
    krpc_str key;
    /** Its type, as written, e.g. "list<base.Item>". */
    krpc_str type_name;
    /** Its number on the wire. */
    int32_t id;
    /** Its type on the wire: a `krpc_type`. */
    int32_t type;
    /** Whether it may or must be absent: a `krpc_requiredness`. */
    int32_t requiredness;
    /** 1 if it has a default, else 0. */
    uint32_t has_default;
} krpc_field_info;

/**
 * What a stream is opened with. Nothing of a client's timeouts for calls applies. Sized struct: start from
 * `KRPC_STREAM_OPTIONS_INIT`.
 */
typedef struct krpc_stream_options {
    /** `sizeof(krpc_stream_options)` as the caller was compiled. */
    size_t struct_size;
    /** For the whole stream, opening included, in milliseconds. 0 or `KRPC_FOREVER`: none but the parent's. */
    int64_t timeout_ms;
    /** For each recv, while nothing has arrived, in milliseconds. 0 or `KRPC_FOREVER`: none. */
    int64_t recv_timeout_ms;
    /** The stream ends if neither side sends anything for so long, in milliseconds. 0 or `KRPC_FOREVER`: none. */
    int64_t idle_timeout_ms;
    /** Pairs that travel with the stream, or NULL. Borrowed for the call. */
    const krpc_metainfo *metainfo;
    /**
     * The work that the stream is part of, or NULL: its end, deadline and pairs are the stream's as well.
     * Borrowed for the call.
     */
    const krpc_context *parent;
    /** 0, or bits `KRPC_STREAM_FLAG_...`. */
    uint32_t flags;
    /** Must be 0. */
    uint32_t reserved;
} krpc_stream_options;

/**
 * Messages and bytes of a stream so far, as its connection has handled them; payloads only. Sized struct: start
 * from `KRPC_STREAM_STATS_INIT`.
 */
typedef struct krpc_stream_stats {
    /** `sizeof(krpc_stream_stats)` as the caller was compiled. */
    size_t struct_size;
    /** Messages sent. */
    uint64_t messages_sent;
    /** Their bytes. */
    uint64_t bytes_sent;
    /** Messages received. */
    uint64_t messages_received;
    /** Their bytes. */
    uint64_t bytes_received;
} krpc_stream_stats;

/**
 * The streams of one method, as their observer has counted them until now. Payloads only. Sized struct: start
 * from `KRPC_STREAM_COUNTERS_INIT`.
 */
typedef struct krpc_stream_counters {
    /** `sizeof(krpc_stream_counters)` as the caller was compiled. */
    size_t struct_size;
    /** The service's name; at a client as in its method, which may be empty. Borrowed from the handle. */
    krpc_str service;
    /** The method's name. Borrowed from the handle. Empty for all methods beyond the first 1024 together. */
    krpc_str method;
    /** Streams that have begun. */
    uint64_t started;
    /** Openings that have failed. */
    uint64_t refused;
    /** Streams that are over. */
    uint64_t ended;
    /** Of these, those that ended with an error; a business status is none. */
    uint64_t failed;
    /** Messages sent. */
    uint64_t messages_sent;
    /** Their bytes. */
    uint64_t bytes_sent;
    /** Messages received. */
    uint64_t messages_received;
    /** Their bytes. */
    uint64_t bytes_received;
    /** Sends that have failed. */
    uint64_t send_errors;
    /** Receives that have failed. */
    uint64_t recv_errors;
} krpc_stream_counters;

/**
 * Something that has happened on a stream. No latency: a send ends in a budget, a recv waits for the peer. Sized
 * struct: start from `KRPC_STREAM_EVENT_INIT`.
 */
typedef struct krpc_stream_event {
    /** `sizeof(krpc_stream_event)` as the caller was compiled; in a callback the library's. */
    size_t struct_size;
    /** A `krpc_stream_event_kind`. */
    int32_t kind;
    /**
     * `KRPC_OK`, or why a send, a recv or the stream has failed. OK also at the end with a business status,
     * which is no failure of the RPC; `error` has it.
     */
    int32_t status;
    /** Which stream: a number that no other of this process has. */
    uint64_t stream;
    /**
     * How many events the stream had before, of all kinds: where one is missing, the observer did not want it or
     * its queue was full.
     */
    uint64_t sequence;
    /** SEND and RECV: how many messages went that way before. */
    uint64_t message;
    /** SEND, RECV and META: bytes of the payload. */
    uint64_t bytes;
    /** When, in nanoseconds of the system's monotonic clock (CLOCK_MONOTONIC). */
    int64_t time_ns;
    /** Messages that the stream has sent so far. */
    uint64_t messages_sent;
    /** Their bytes. */
    uint64_t bytes_sent;
    /** Messages that it has received so far. */
    uint64_t messages_received;
    /** Their bytes. */
    uint64_t bytes_received;
    /** The service's name; at a client as in its method, which may be empty. */
    krpc_str service;
    /** The method's name. */
    krpc_str method;
    /** The peer's address; empty if the stream never had one. */
    krpc_str peer;
    /** Why not, or NULL. Borrowed like the texts. */
    const krpc_error *error;
    /** HEADER, META, a client's END: the pairs of the frame, of kind BACKWARD; else empty. */
    const krpc_metainfo *metainfo;
    /** 1 at a server, 0 at a client. */
    uint32_t is_server;
    /** 0. */
    uint32_t reserved;
} krpc_stream_event;

/**
 * Hears of an event. `event` and all that it shows are borrowed for the call.
 *
 * Runs where it happens, often on an I/O thread, and must not block: one that takes more than 10 ms there is
 * reported in the log. Several calls may run at once, for one stream too where it sends while it receives. No
 * lock of the library is held; functions that don't block may be called. It must not throw or longjmp.
 */
typedef void (*krpc_stream_event_fn)(void *user_data, const krpc_stream_event *event);

/**
 * Who watches streams: a `callback`, a `queue`, or neither, where only the counters are wanted. Sized struct:
 * start from `KRPC_STREAM_OBSERVER_INIT`.
 */
typedef struct krpc_stream_observer {
    /** `sizeof(krpc_stream_observer)` as the caller was compiled. */
    size_t struct_size;
    /** Called with `user_data` and an event; NULL for the other styles. */
    krpc_stream_event_fn callback;
    /** Given to `callback` and `destroy`. */
    void *user_data;
    /** Called once with `user_data` when nothing will use it any more; also if the function fails. Optional. */
    krpc_destroy_fn destroy;
    /**
     * Receives records, see `KRPC_EVENT_KIND_STREAM_RECORD`; kept alive. They take half of its places at most;
     * what finds none is dropped and counted. NULL for the other styles.
     */
    krpc_queue *queue;
    /** The host's word for them, in its events. */
    uint64_t tag;
    /** 0 for all kinds, or a sum of `1 << krpc_stream_event_kind`. */
    uint32_t kinds;
    /** Must be 0. */
    uint32_t reserved;
} krpc_stream_observer;

/**
 * Looks at one question about a stream, and may say something to it: `krpc_stream_hook_replace`, `_set_metainfo`,
 * `_reject`.
 *
 * Runs where it happens, which may be an I/O thread, and must not block: one that takes more than 10 ms there is
 * reported in the log. Calls for different streams may run at once; for one stream a `send` and a `recv`, never
 * two of a kind. No lock of the library is held. It must not throw or longjmp.
 */
typedef void (*krpc_stream_hook_fn)(void *user_data, const krpc_stream_hook *hook);

/**
 * Functions that stand around streams, each optional; those around calls are apart (ttstream.md §9.3). Of several
 * interceptors the first that was added is the outermost: it sees openings and messages to send first, and messages
 * received and ends last. Sized struct: start from `KRPC_STREAM_INTERCEPTOR_INIT`.
 */
typedef struct krpc_stream_interceptor {
    /** `sizeof(krpc_stream_interceptor)` as the caller was compiled. */
    size_t struct_size;
    /** OPEN: a client's stream before a connection is asked for, a server's before its handler. */
    krpc_stream_hook_fn open;
    /** SEND: each message on its way out. */
    krpc_stream_hook_fn send;
    /** RECV: each message that the host is about to get; also the one in `krpc_stream_request`. */
    krpc_stream_hook_fn recv;
    /** META: a frame that a proxy has put in, at a client. */
    krpc_stream_hook_fn meta;
    /** FINISH: a server's handler has ended, and its trailer is about to leave. */
    krpc_stream_hook_fn finish;
    /** END: the stream is over. Once for each stream that `open` has let pass, also if its opening failed later. */
    krpc_stream_hook_fn end;
    /** Given to all of them. */
    void *user_data;
    /** Called once with `user_data` when nothing will use it any more; also if the function fails. Optional. */
    krpc_destroy_fn destroy;
} krpc_stream_interceptor;

/**
 * Budgets of streams. A message weighs 64 bytes besides its own. 0 is the default everywhere. Sized struct: start
 * from `KRPC_STREAM_LIMITS_INIT`.
 */
typedef struct krpc_stream_limits {
    /** `sizeof(krpc_stream_limits)` as the caller was compiled. */
    size_t struct_size;
    /** Streams of one connection. Default 16,384. */
    size_t streams;
    /** Received bytes of a stream that wait to be taken. Default 4 MiB. */
    size_t recv_bytes;
    /** Received messages of a stream that wait to be taken. Default 4,096. */
    size_t recv_messages;
    /** Received bytes of a connection that wait to be taken. Default 64 MiB. */
    size_t connection_recv_bytes;
    /** Bytes of a stream that wait to be sent. Default 1 MiB. */
    size_t send_bytes;
    /** Messages of a stream that wait to be sent. Default 4,096. */
    size_t send_messages;
    /** Bytes of a connection that wait to be sent. Default 16 MiB. */
    size_t connection_send_bytes;
    /**
     * How long a stream whose messages nobody takes may keep the other streams of its connection waiting before
     * it is reset, in milliseconds; `KRPC_FOREVER`: as long as it likes. Default 5000.
     */
    int64_t slow_reader_timeout_ms;
} krpc_stream_limits;

/**
 * Serves a stream. It owns `stream`: finish it once and free it, now or later, on this thread or another. Several
 * calls may run at once, with the same `user_data`.
 *
 * Runs on a thread of the runtime's handler pool, where it may block for the whole stream; an inline handler runs
 * on the I/O thread, where it must not. It must not throw, longjmp or end the thread.
 */
typedef void (*krpc_stream_handler_fn)(void *user_data, krpc_stream *stream);

/**
 * The connections of a client's streams: how many there are, and what they have seen since the client was made,
 * those that have ended included. Sized struct: start from `KRPC_CLIENT_STREAM_STATS_INIT`.
 */
typedef struct krpc_client_stream_stats {
    /** `sizeof(krpc_client_stream_stats)` as the caller was compiled. */
    size_t struct_size;
    /** Connections established for streams. */
    uint64_t dialled;
    /** Streams that took a connection which was there. */
    uint64_t reused;
    /** Connections that are there now. */
    uint64_t connections;
    /** Streams on them now. */
    uint64_t streams;
    /** Streams opened. */
    uint64_t opened;
    /** Openings that were refused: too many streams, too much memory, or an end that stops. */
    uint64_t refused;
    /** Frames received. May lag behind the other numbers, as may `frames_sent`. */
    uint64_t frames_received;
    /** Frames written. */
    uint64_t frames_sent;
    /** Frames for streams that are not known: normal where ends cross. */
    uint64_t unknown_frames;
    /** Frames for streams whose receiving side was over. */
    uint64_t late_frames;
    /** Frames that broke the protocol or a limit. */
    uint64_t illegal_frames;
    /** META frames that were dropped. */
    uint64_t dropped_metas;
    /** RST received for live streams. */
    uint64_t resets_received;
    /** RST sent. */
    uint64_t resets_sent;
    /** Streams reset because nobody took their messages (SLOW_READER). */
    uint64_t slow_readers;
    /** Streams reset because of too many frames without content. */
    uint64_t floods;
    /** Times that the reading of a connection was stopped by a full budget. */
    uint64_t pauses;
} krpc_client_stream_stats;

/**
 * What the connections of a server's streams have seen since it was started, those that have ended included:
 * what was refused, broke the rules or was too much. Sized struct: start from `KRPC_SERVER_STREAM_STATS_INIT`.
 */
typedef struct krpc_server_stream_stats {
    /** `sizeof(krpc_server_stream_stats)` as the caller was compiled. */
    size_t struct_size;
    /** Streams opened. */
    uint64_t opened;
    /** Openings that were refused: too many streams, too much memory, or an end that stops. */
    uint64_t refused;
    /** Frames received. May lag behind the other numbers, as may `frames_sent`. */
    uint64_t frames_received;
    /** Frames written. */
    uint64_t frames_sent;
    /** Frames for streams that are not known: normal where ends cross. */
    uint64_t unknown_frames;
    /** Frames for streams whose receiving side was over. */
    uint64_t late_frames;
    /** Frames that broke the protocol or a limit. */
    uint64_t illegal_frames;
    /** META frames that were dropped. */
    uint64_t dropped_metas;
    /** RST received for live streams. */
    uint64_t resets_received;
    /** RST sent. */
    uint64_t resets_sent;
    /** Streams reset because nobody took their messages (SLOW_READER). */
    uint64_t slow_readers;
    /** Streams reset because of too many frames without content. */
    uint64_t floods;
    /** Times that the reading of a connection was stopped by a full budget. */
    uint64_t pauses;
} krpc_server_stream_stats;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/* ---- krpc_client: calls one destination -------------------------------------------------- */

/**
 * Makes a client.
 *
 * `options`: always consumed, also on failure. Nothing is connected yet.
 * Returns an owned client, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, NO_ADDRESS, OUT_OF_RESOURCES. Since: 0.1.
 */
krpc_client *krpc_client_build(krpc_client_options *options,
                               krpc_error **error);

/**
 * Calls a method and waits for the end of the call.
 *
 * `method`: from `krpc_client_method` or `krpc_client_method_from_idl`. `request`: the *args* struct, borrowed; NULL is an empty one.
 * `options`: NULL for the client's defaults. `reply` (optional): receives an owned reply on any
 * outcome, NULL only if an argument is invalid. Returns how the call ended, as `krpc_reply_status`.
 *
 * A message of encoding `KRPC_ENCODING_PROTOBUF` is sent as Kitex sends protobuf: over framed transports only,
 * its bytes as they are, and so is the reply's.
 *
 * The call takes an idle connection or makes one; addresses that can't be reached are passed over. A
 * request that the peer may have seen is never sent twice. A timeout tells the peer nothing: its
 * handler runs on.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: any of 1xx to 6xx. Since: 0.1.
 */
krpc_status krpc_client_call(const krpc_client *client,
                             const krpc_method *method,
                             const krpc_message *request,
                             const krpc_call_options *options,
                             krpc_reply **reply);

/**
 * The same for a method that is called once: `name` as in `krpc_client_method`, two-way. `reply` (optional):
 * receives an owned reply.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: any of 1xx to 6xx. Since: 0.1.
 */
krpc_status krpc_client_call_by_name(const krpc_client *client,
                                     krpc_str name,
                                     const krpc_message *request,
                                     const krpc_call_options *options,
                                     krpc_reply **reply);

/**
 * Makes connections to each address, all at once, and leaves them idle for the first calls, blocking or
 * started.
 *
 * `connections_per_address`: at least 1, and no more than are kept idle, or than calls share if they are
 * multiplexed. `timeout_ms`: for all together, at
 * least 1. The error names each address that could not be given all of its connections, and why; its status
 * is that of the first. What could be made stays. An address that could not be reached just before is not
 * dialled again until its pause is over (`krpc_client_options_set_backoff_ms`).
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: INVALID_ARGUMENT, CLOSED; RESOLVE_FAILED,
 * CONNECT_FAILED, CONNECT_TIMEOUT, OUT_OF_RESOURCES. Since: 0.1.
 */
krpc_status krpc_client_warm_up(const krpc_client *client,
                                size_t connections_per_address,
                                int64_t timeout_ms,
                                krpc_error **error);

/**
 * Refuses new calls (CLOSED) and closes idle connections. Calls under way end by themselves or, if
 * `cut_off`, at once as CLOSED. Calling it again does nothing more.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_close(const krpc_client *client, bool cut_off);

/**
 * Reads the counters of a client's connection pools, over all addresses.
 *
 * `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_read_stats(const krpc_client *client,
                                   krpc_client_stats *stats);

/**
 * Frees a client. NULL is fine. Calls under way on other threads end by themselves.
 *
 * Thread: any thread, once; not while a call on another thread is about to start. Errors: none.
 * Since: 0.1.
 */
void krpc_client_free(krpc_client *client);

/* ---- krpc_client_options: the builder of a client ---------------------------------------- */

/**
 * A builder for a client of one destination.
 *
 * `destination`: the destination's name, for the peer's logs; UTF-8, copied.
 * Returns an owned builder, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_client_options *krpc_client_options_new(krpc_str destination,
                                             krpc_error **error);

/**
 * Adds an address; calls take them in turn.
 *
 * `address`: "127.0.0.1:8888", "[::1]:8888", "host:8888" or "unix:/path"; UTF-8, copied. Host names
 * are resolved by the system whenever a connection is made.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_add_address(krpc_client_options *options,
                                            krpc_str address,
                                            krpc_error **error);

/**
 * Names this program, for the peer's logs. Default empty.
 *
 * `caller`: UTF-8, copied.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_caller(krpc_client_options *options,
                                           krpc_str caller,
                                           krpc_error **error);

/**
 * Chooses how requests are framed: a `krpc_transport`. Default `KRPC_TRANSPORT_TTHEADER_FRAMED`.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_transport(krpc_client_options *options,
                                              int32_t transport,
                                              krpc_error **error);

/**
 * Sets the timeout of calls that set none, in milliseconds, connecting included. 0 or `KRPC_FOREVER`:
 * none, which is the default.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_timeout_ms(krpc_client_options *options,
                                               int64_t timeout_ms,
                                               krpc_error **error);

/**
 * Sets how long establishing a connection may take, in milliseconds, at least 1. Default 1000. A call's
 * own timeout holds as well.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_connect_timeout_ms(krpc_client_options *options,
                                                       int64_t timeout_ms,
                                                       krpc_error **error);

/**
 * Sets how long an address that could not be reached is left alone, in milliseconds.
 *
 * `initial_ms`: after the first failed dial, at least 0; each further one doubles it, up to `max_ms`, at least
 * `initial_ms`; all vary by a fifth, by chance. Default 100 and 5000. A success starts it anew; three
 * connections in a row that end before their first reply count as a failed dial too. Meanwhile warm-ups do not
 * dial it, and calls go to other addresses. A call that has no other left dials at once: it never fails on news
 * that is older than itself, so a server that is up again loses no call by this. Of such dials one at a time is
 * under way to each address, and calls that came before it began share its outcome: many callers of a server
 * that is down dial one after the other, at most as often as one that never pauses, besides one dial for each
 * that was under way when the first failed. `initial_ms` 0: every call that needs a connection dials.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_backoff_ms(krpc_client_options *options,
                                               int64_t initial_ms,
                                               int64_t max_ms,
                                               krpc_error **error);

/**
 * Sets how long an idle connection is kept for reuse, in milliseconds, at least 1. Default 60,000. Keep
 * it below the server's idle timeout (Kitex: 10 minutes). Blocking calls have no thread of their own that would
 * close outdated connections: other blocking calls of the process do, or a runtime that runs already.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_idle_timeout_ms(krpc_client_options *options,
                                                    int64_t timeout_ms,
                                                    krpc_error **error);

/**
 * Sets how many idle connections of calls are kept per address. Default 256; 0: every call makes its own.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_max_idle_connections(krpc_client_options *options,
                                                         size_t count,
                                                         krpc_error **error);

/**
 * Sets how many idle connections per address are kept however long they are idle: `krpc_client_warm_up` or
 * calls make them. Default 0. A server that ends idle connections ends these as well.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT; also from `krpc_client_build` if it is more than are kept
 * idle at most. Since: 0.1.
 */
krpc_status krpc_client_options_set_min_idle_connections(krpc_client_options *options,
                                                         size_t count,
                                                         krpc_error **error);

/**
 * Limits how many calls may use connections to one address at once, blocking and started ones together. A
 * call above that waits for its turn, within its timeout, and then ends as OVERLOAD; the next free
 * connection goes to the call that has waited longest. Without a meaning for multiplexed connections.
 *
 * `count`: 0, the default, is no limit. Idle connections of blocking calls and of started ones are kept
 * apart: a client that makes both may have some idle beyond the limit.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_max_connections(krpc_client_options *options,
                                                    size_t count,
                                                    krpc_error **error);

/**
 * Lets a blocking caller look for its reply for some microseconds before it sleeps. It saves a wake-up where
 * replies come that fast and the peer has a CPU of its own, and costs CPU time. A connection on which it was
 * in vain lets ever more calls pass before it is tried again.
 *
 * `microseconds`: 0 to 1000; 0, the default, sleeps at once. Two or three times what a reply takes, such as 50,
 * is enough; much more takes CPU time from a peer on the same CPU.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_spin_us(krpc_client_options *options,
                                            uint32_t microseconds,
                                            krpc_error **error);

/**
 * Lets all calls to an address share some connections, whose answers come in any order (TTHeader only; the
 * peer must be a multiplexing server: of Kitex's, or of this library). Blocking calls then wait for a shard.
 *
 * `connections`: for each address, 0 to 256; 0, the default, gives each call under way one of its own.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT; also from `krpc_client_build` with a transport that is
 * not TTHeader. Since: 0.1.
 */
krpc_status krpc_client_options_set_multiplexed(krpc_client_options *options,
                                                size_t connections,
                                                krpc_error **error);

/**
 * Sets the largest reply or message of a stream in bytes, 1 to 0x3FFFFFFF. Default 64 MiB. Larger ones end their
 * call as FRAME_TOO_LARGE, or their stream, before memory is reserved.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_max_frame_bytes(krpc_client_options *options,
                                                    size_t bytes,
                                                    krpc_error **error);

/**
 * Chooses whether requests are sent with a CRC-32C of their payload, and replies that bring one are checked
 * against it before they are read (TTHeader only; Kitex's `WithCodec` with `CRC32Check`). A reply that does
 * not match ends its call as CHECKSUM_MISMATCH. Default false: the peer's checksums are ignored.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_checksum(krpc_client_options *options,
                                             bool checksum,
                                             krpc_error **error);

/**
 * Sets when a peer that has vanished without a word is looked for: its host died, or a device between lost
 * the connection. TCP only. Default: 30,000, 10,000 and 3.
 *
 * `time_ms`: silence before the first probe, at least 1; rounded up to seconds; `KRPC_FOREVER`: no probes.
 * `interval_ms`: between probes, at least 1; rounded up to seconds. `count`: probes without an answer, 1 to
 * 127; counts only without a user timeout (`krpc_client_options_set_tcp_user_timeout_ms`).
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_tcp_keepalive(krpc_client_options *options,
                                                  int64_t time_ms,
                                                  int64_t interval_ms,
                                                  uint32_t count,
                                                  krpc_error **error);

/**
 * Sets for how long bytes may stay unacknowledged, or find no room at the peer, before the connection counts
 * as lost, in milliseconds, at least 1. `KRPC_FOREVER`: the system's, about 15 minutes. TCP only. Default
 * 60,000. Keep it above the time and the interval of the probes, or one lost probe ends the connection.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_tcp_user_timeout_ms(krpc_client_options *options,
                                                        int64_t timeout_ms,
                                                        krpc_error **error);

/**
 * Chooses the runtime for calls started by `krpc_client_start`, kept alive by the client. Default: the
 * shared one, made with the first such call. Blocking calls use none.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_runtime(krpc_client_options *options,
                                            const krpc_runtime *runtime,
                                            krpc_error **error);

/**
 * Chooses whether the peer is told the call's timeout (TTHeader only), so that a server that follows it
 * can give up in time. Default true, as Kitex's client does.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_tell_timeout(krpc_client_options *options,
                                                 bool tell,
                                                 krpc_error **error);

/**
 * Frees a builder that was not consumed. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_client_options_free(krpc_client_options *options);

/* ---- krpc_completion: how the host hears that an operation has ended, and calls that end that way  */

/**
 * Starts a call and returns at once.
 *
 * `method`, `request`, `options`: as in `krpc_client_call`; what is needed of them is retained or copied.
 * `completion`: NULL to hear of the end by `op` only. `op` (optional): receives an owned operation; with
 * NULL the call can be cancelled by queue and tag only.
 * Returns OK if the call was started: then its completion is delivered exactly once, with whatever came of
 * it. On an error nothing was started, nothing will be delivered, and `destroy` has run.
 *
 * The call runs on the client's runtime (`krpc_client_options_set_runtime`), by default the shared one.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL, OUT_OF_RESOURCES. Since: 0.1.
 */
krpc_status krpc_client_start(const krpc_client *client,
                              const krpc_method *method,
                              const krpc_message *request,
                              const krpc_call_options *options,
                              const krpc_completion *completion,
                              krpc_op **op,
                              krpc_error **error);

/**
 * Starts many calls that end as events of one queue, with one wake-up of the core for all.
 *
 * `calls`: `count` calls of `call_size` bytes each, `sizeof(krpc_call)`. `options`: for all of them, as in `krpc_client_call`. `queue`: receives an event
 * for each. `started` (optional): receives how many were started, from the first: all, or as many as the
 * queue had room for, or 0. Returns OK if all were started; QUEUE_FULL if only some, or CLOSED if the
 * queue was shut down: those that were started end as usual, the others were not touched.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL, OUT_OF_RESOURCES. Since: 0.1.
 */
krpc_status krpc_client_start_many(const krpc_client *client,
                                   const krpc_call *calls,
                                   size_t call_size,
                                   size_t count,
                                   const krpc_call_options *options,
                                   krpc_queue *queue,
                                   size_t *started,
                                   krpc_error **error);

/* ---- krpc_context: what travels down from a call to the calls that are made for it ------- */

/**
 * A context of its own, or below another, whose end, deadline and pairs it inherits.
 *
 * `parent` (optional): borrowed for the call. `timeout_ms`: from now, in milliseconds; 0 or
 * `KRPC_FOREVER`: no deadline but the parent's. `metainfo` (optional): pairs for the calls made in it,
 * which win over the parent's; copied. Returns an owned context, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_context *krpc_context_new(const krpc_context *parent,
                               int64_t timeout_ms,
                               const krpc_metainfo *metainfo,
                               krpc_error **error);

/**
 * The context of a request: it ends when the caller is seen to leave, has the request's metainfo, and the
 * caller's timeout as deadline if the server follows it. May outlive the request. Returns an owned
 * context, or NULL if `request` is.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_context *krpc_request_context(const krpc_request *request);

/**
 * Another reference to the same context, owned by the caller. NULL if `context` is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_context *krpc_context_retain(const krpc_context *context);

/**
 * Ends the work: calls made in it and in contexts below end as CANCELLED, or with their real result if
 * that came first. Does nothing if it has ended.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_context_cancel(const krpc_context *context);

/**
 * Why the work is to end; `KRPC_CAUSE_NONE` if it is not. Long handlers ask this from time to time.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_cause krpc_context_cause(const krpc_context *context);

/**
 * Whether the server that the work is for is being stopped: what is under way should come to its end, and may
 * still say a last word.
 *
 * Thread: any thread. Errors: none; false if `context` is NULL. Since: 0.1.
 */
bool krpc_context_is_stopping(const krpc_context *context);

/**
 * How long is left for the work, in milliseconds, rounded up; `KRPC_FOREVER` without a deadline.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
int64_t krpc_context_time_left_ms(const krpc_context *context);

/**
 * The pairs that calls made in the context take along; NULL only if `context` is. Borrowed from it.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_metainfo *krpc_context_metainfo(const krpc_context *context);

/**
 * Frees a reference to a context. NULL is fine. The work goes on as long as others refer to it.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_context_free(krpc_context *context);

/* ---- krpc_decision: a question that the host answers once -------------------------------- */

/**
 * The service that would take the request. Borrowed from `decision`; empty if that is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_decision_service(const krpc_decision *decision);

/**
 * The request's method. Borrowed from `decision`; empty if that is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_decision_method(const krpc_decision *decision);

/**
 * The caller's address. Borrowed from `decision`; empty if that is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_decision_peer(const krpc_decision *decision);

/**
 * The pairs that came with the request; NULL only if `decision` is. Borrowed from it.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_metainfo *krpc_decision_metainfo(const krpc_decision *decision);

/**
 * Answers: handle the request. An inline handler runs on this thread then.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT; GONE if there was an answer, or the time was up.
 * Since: 0.1.
 */
krpc_status krpc_decision_allow(const krpc_decision *decision);

/**
 * Answers: refuse the request. The caller is told "request forbidden: " and the reason.
 *
 * `reason`: for the caller, copied.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT; GONE if there was an answer, or the time was up.
 * Since: 0.1.
 */
krpc_status krpc_decision_reject(const krpc_decision *decision, krpc_str reason);

/**
 * Frees a decision. NULL is fine. If it was not answered, the default counts.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_decision_free(krpc_decision *decision);

/* ---- krpc_error: a failure with all that is known about it ------------------------------- */

/**
 * The status. `KRPC_OK` if `error` is NULL; FORKED if it is from before a fork.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_status krpc_error_status(const krpc_error *error);

/**
 * One line with everything: status name, text, method, peer, phase, and the causes. For logs.
 * Borrowed from `error`; empty if that is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_error_describe(const krpc_error *error);

/**
 * What failed, without context. Borrowed from `error`; empty if that is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_error_text(const krpc_error *error);

/**
 * Where in the call's life it failed.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_phase krpc_error_phase(const krpc_error *error);

/**
 * The peer's address, e.g. "127.0.0.1:8888". Borrowed from `error`; empty if no peer was involved.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_error_peer(const krpc_error *error);

/**
 * The call's method, e.g. "Chat/Say". Borrowed from `error`; empty if no call was involved.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_error_method(const krpc_error *error);

/**
 * Whether the same call may be sent again without risk of running twice.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_error_retryable(const krpc_error *error);

/**
 * The application exception that the peer sent, if that is what failed the call.
 *
 * `type_id` (optional): TApplicationException type, e.g. 1 unknown method, 6 internal error, 20
 * unknown service. `text` (optional): the peer's words, unchanged; borrowed from `error`.
 * Returns false, and sets 0 and empty, if there is none.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_error_remote_exception(const krpc_error *error,
                                 int32_t *type_id,
                                 krpc_str *text);

/**
 * The business status that the peer sent, if that is what failed the call.
 *
 * `code` (optional): the status, never 0. `message` (optional): borrowed from `error`, may be empty.
 * Returns false, and sets 0 and empty, if there is none.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_error_biz_status(const krpc_error *error,
                           int32_t *code,
                           krpc_str *message);

/**
 * Why a stream ended, in the numbers that peers exchange, if that is what failed.
 *
 * `code` (optional): e.g. 12001 the handler failed, 12006 the connection was lost, 12007 cancelled, 12014 no
 * message came in time, 12015 the stream did not end in time; peers may have numbers of their own. `text`
 * (optional): the words of whoever ended it, unchanged. `path` (optional): the services that a cancel has come
 * through, joined by commas, empty at its first hop. Both are borrowed from `error`.
 * Returns false, and sets 0 and empty, if there is none.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_error_stream_reason(const krpc_error *error,
                              int32_t *code,
                              krpc_str *text,
                              krpc_str *path);

/**
 * Number of extra pairs beside a business status.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
size_t krpc_error_biz_extra_count(const krpc_error *error);

/**
 * One extra pair beside a business status, 0 ≤ `index` < `krpc_error_biz_extra_count`.
 *
 * `key` and `value` (both optional): borrowed from `error`. Returns false, and sets both empty, if
 * there is no such pair.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_error_biz_extra_at(const krpc_error *error,
                             size_t index,
                             krpc_str *key,
                             krpc_str *value);

/**
 * The exception declared in the IDL that the peer threw, if that is what failed the call.
 *
 * `field_id` (optional): its field in the result struct. `exception` (optional): its own struct,
 * borrowed from `error`. Returns false, and sets 0 and NULL, if there is none.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_error_declared_exception(const krpc_error *error,
                                   int16_t *field_id,
                                   const krpc_message **exception);

/**
 * The exception declared in the IDL that the peer threw, as JSON.
 *
 * `method`: what was called, made from an IDL. `options`: NULL for the defaults. `name` (optional): its
 * name in the method's `throws`, borrowed from `method`; empty on failure. `failure`: as in any function.
 * Returns an owned message in `KRPC_ENCODING_JSON`, or NULL and a failure.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, also if `error` is no declared exception; INVALID_STATE if
 * `method` was not made from an IDL; UNKNOWN_FIELD if it does not throw this; MALFORMED, TYPE_MISMATCH,
 * MISSING_FIELD, CODEC_LIMIT, UNSUPPORTED. Since: 0.1.
 */
krpc_message *krpc_error_exception_to_json(const krpc_error *error,
                                           const krpc_method *method,
                                           const krpc_json_options *options,
                                           krpc_str *name,
                                           krpc_error **failure);

/**
 * The error that led to this one, or NULL. Borrowed from `error`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_error *krpc_error_cause(const krpc_error *error);

/**
 * Frees an error that you own. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_error_free(krpc_error *error);

/* ---- krpc_idl: a Thrift IDL, read at run time -------------------------------------------- */

/**
 * Reads an IDL from files.
 *
 * `path`: the main file. `include_dirs`: `count` directories in which includes are looked for, after the
 * working directory and that of the including file. UTF-8, borrowed for the call.
 * Returns an owned IDL, or NULL and an error, whose text shows every mistake with its file, line and
 * column, over several lines.
 *
 * Thread: any thread that may block. Errors: INVALID_ARGUMENT, IDL_INVALID. Since: 0.1.
 */
krpc_idl *krpc_idl_parse_file(krpc_str path,
                              const krpc_str *include_dirs,
                              size_t count,
                              krpc_error **error);

/**
 * Reads an IDL that is in memory.
 *
 * `files`: `count` files, borrowed for the call. An include is looked for beside the including file, then
 * as it is written. `main`: the name of the main file; empty for the first.
 * Returns an owned IDL, or NULL and an error, as `krpc_idl_parse_file`.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, IDL_INVALID. Since: 0.1.
 */
krpc_idl *krpc_idl_parse_memory(const krpc_idl_file *files,
                                size_t count,
                                krpc_str main,
                                krpc_error **error);

/**
 * What is doubtful in the IDL, shown as mistakes are. Borrowed from `idl`; empty if there is nothing, or
 * if that is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_idl_warnings(const krpc_idl *idl);

/**
 * Number of services, those of included files too. 0 if `idl` is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
size_t krpc_idl_service_count(const krpc_idl *idl);

/**
 * The name of a service, 0 ≤ `index` < `krpc_idl_service_count`; those of the main file come first.
 * Borrowed from `idl`; empty if there is no such service.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_idl_service_at(const krpc_idl *idl,
                             size_t index);

/**
 * The service that is meant where only a method is named: the last of the main file. Borrowed from `idl`;
 * empty if there is none.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_idl_main_service(const krpc_idl *idl);

/**
 * Number of methods of a service, inherited ones too. 0 if there is no such service.
 *
 * `service`: empty for the main one.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
size_t krpc_idl_method_count(const krpc_idl *idl, krpc_str service);

/**
 * What the IDL says of a method, 0 ≤ `index` < `krpc_idl_method_count`: own ones as written, then those
 * inherited.
 *
 * `service`: empty for the main one. `info`: its `struct_size` must be set; the fields that it has room
 * for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_idl_method_at(const krpc_idl *idl,
                               krpc_str service,
                               size_t index,
                               krpc_method_info *info,
                               krpc_error **error);

/**
 * The same for a method by its name.
 *
 * `method`: "Service/Method", or "Method" of the main service.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_idl_find_method(const krpc_idl *idl,
                                 krpc_str method,
                                 krpc_method_info *info,
                                 krpc_error **error);

/**
 * Number of structs, unions and exceptions, those of included files too. 0 if `idl` is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
size_t krpc_idl_struct_count(const krpc_idl *idl);

/**
 * The name of a struct, union or exception as `krpc_idl_struct` takes it, 0 ≤ `index` <
 * `krpc_idl_struct_count`. Borrowed from `idl`; empty if there is no such struct.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_idl_struct_at(const krpc_idl *idl, size_t index);

/**
 * The shape of a struct, union or exception, by its name or that of a typedef.
 *
 * Returns an owned shape, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_shape *krpc_idl_struct(const krpc_idl *idl,
                            krpc_str name,
                            krpc_error **error);

/**
 * The shape of a method's requests.
 *
 * `method`: "Service/Method", or "Method" of the main service.
 * Returns an owned shape, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_shape *krpc_idl_request(const krpc_idl *idl,
                             krpc_str method,
                             krpc_error **error);

/**
 * The shape of a method's results. A oneway method has none.
 *
 * `method`: "Service/Method", or "Method" of the main service.
 * Returns an owned shape, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_shape *krpc_idl_result(const krpc_idl *idl,
                            krpc_str method,
                            krpc_error **error);

/**
 * Everything that the IDL defines, as JSON: files, types, constants, structs, services, annotations,
 * comments.
 *
 * Returns an owned message in `KRPC_ENCODING_JSON`, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_message *krpc_idl_dump(const krpc_idl *idl,
                            krpc_error **error);

/**
 * A request to start from, as JSON: every field with its default, or a value of its type.
 *
 * `method`: "Service/Method", or "Method" of the main service. `comments`: whether each field has its id,
 * requiredness and type as a `//` comment, which is for people: JSON has no comments.
 * Returns an owned message in `KRPC_ENCODING_JSON` (with comments `KRPC_ENCODING_RAW`), or NULL and an
 * error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_message *krpc_idl_template(const krpc_idl *idl,
                                krpc_str method,
                                bool comments,
                                krpc_error **error);

/**
 * Frees an IDL, and with it the texts that are borrowed from it. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_idl_free(krpc_idl *idl);

/* ---- JSON: messages from it and to it, by a shape ---------------------------------------- */

/**
 * Makes the message of a shape from JSON.
 *
 * `json`: UTF-8, borrowed for the call. Of a request: the value of the only argument, or an object with a
 * member for each; of a result: the return value, `null` for void. `options`: NULL for the defaults.
 * Returns an owned message in Thrift Binary, or NULL and an error with the place, e.g. "$.items[3].name:
 * expected a string, found a number (line 1, column 17, byte 16)".
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, MALFORMED, TYPE_MISMATCH, MISSING_FIELD, UNKNOWN_FIELD,
 * CODEC_LIMIT, UNSUPPORTED. Since: 0.1.
 */
krpc_message *krpc_message_from_json(krpc_str json,
                                     const krpc_shape *shape,
                                     const krpc_json_options *options,
                                     krpc_error **error);

/**
 * Writes the message of a shape as JSON, the one that `krpc_message_from_json` takes.
 *
 * `message`: in Thrift Binary, e.g. from `krpc_reply_message`. `options`: NULL for the defaults.
 * Returns an owned message in `KRPC_ENCODING_JSON`, of one segment; or NULL and an error with the place.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, MALFORMED, TYPE_MISMATCH, MISSING_FIELD, UNKNOWN_FIELD,
 * CODEC_LIMIT, UNSUPPORTED, DECLARED_EXCEPTION if it is an exception instead of a result. Since: 0.1.
 */
krpc_message *krpc_message_to_json(const krpc_message *message,
                                   const krpc_shape *shape,
                                   const krpc_json_options *options,
                                   krpc_error **error);

/* ---- The process-wide log callback ------------------------------------------------------- */

/**
 * Sets the function that takes the library's log lines, for the whole process. It replaces the one set
 * before; NULL removes that. Without one nothing is logged: the library itself never prints.
 *
 * `level`: a `krpc_log_level`; lines that matter less are not even formatted. Ignored if `callback` is
 * NULL. `destroy` (optional): called once with `user_data` when `callback` has been replaced or removed
 * and its last call has returned; before this function returns, if it fails or `callback` is NULL. A
 * call that is under way on another thread may end after its replacement: wait for `destroy` before you
 * free what the callback uses.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT; then the function set before stays. Since: 0.1.
 */
krpc_status krpc_log_set(int32_t level,
                         krpc_log_fn callback,
                         void *user_data,
                         krpc_destroy_fn destroy,
                         krpc_error **error);

/* ---- krpc_message: immutable bytes and their encoding ------------------------------------ */

/**
 * Makes a message from a copy of `bytes`.
 *
 * `encoding`: a `krpc_encoding`. `bytes`: borrowed for the call.
 * Returns an owned message, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_message *krpc_message_copy(int32_t encoding,
                                krpc_bytes bytes,
                                krpc_error **error);

/**
 * Makes a message from the host's memory without copying it.
 *
 * `encoding`: a `krpc_encoding`. `bytes`: must stay valid and unchanged until `destroy` is called.
 * `destroy` (optional): called once with `user_data` when the last reference is gone; also before
 * this function returns, if it fails.
 * Returns an owned message, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_message *krpc_message_wrap(int32_t encoding,
                                krpc_bytes bytes,
                                void *user_data,
                                krpc_destroy_fn destroy,
                                krpc_error **error);

/**
 * Makes a message from several pieces, each copied, that are sent one after the other.
 *
 * `encoding`: a `krpc_encoding`. `segments`: `count` views, borrowed for the call.
 * Returns an owned message, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_message *krpc_message_from_segments(int32_t encoding,
                                         const krpc_bytes *segments,
                                         size_t count,
                                         krpc_error **error);

/**
 * Another reference to the same bytes, owned by the caller. NULL if `message` is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_message *krpc_message_retain(const krpc_message *message);

/**
 * How the message is encoded: a `krpc_encoding`, or another number that passed through.
 *
 * Thread: any thread. Errors: none; NULL gives `KRPC_ENCODING_RAW`. Since: 0.1.
 */
int32_t krpc_message_encoding(const krpc_message *message);

/**
 * Size in bytes over all segments. 0 if `message` is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
size_t krpc_message_size(const krpc_message *message);

/**
 * The segments, without copying.
 *
 * `segments`: receives up to `capacity` views, borrowed from `message`. `count` (optional): receives
 * the number of segments that there are, which may be larger than `capacity`.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_message_segments(const krpc_message *message,
                                  krpc_bytes *segments,
                                  size_t capacity,
                                  size_t *count);

/**
 * All bytes as a message of one segment, owned by the caller: the same bytes if there is just one
 * segment already, else one copy. Read it with `krpc_message_bytes`.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_message *krpc_message_join(const krpc_message *message,
                                krpc_error **error);

/**
 * The bytes of a message of one segment (as every received one is), borrowed from it. Empty if
 * `message` is NULL or has several segments: see `krpc_message_join`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_bytes krpc_message_bytes(const krpc_message *message);

/**
 * Makes a request that carries what the caller's framework says of itself, as Kitex clients do.
 *
 * The field of the request's first argument whose type is written `base.Base` gets the fields of `base`;
 * those that `base` does not have stay, and so do pairs of its field 6 (`Extra`) with other keys. A request
 * without such a field, or without that argument, stays as it is.
 * `message`: a request in Thrift Binary, e.g. from `krpc_message_from_json`. `shape`: of that request, or
 * of a struct that is sent bare. `base`: a struct `base.Base` in Thrift Binary.
 * Returns an owned message, or NULL and an error. Both messages are only read.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, also for the shape of a result, MALFORMED, TYPE_MISMATCH,
 * CODEC_LIMIT, UNSUPPORTED. Since: 0.1.
 */
krpc_message *krpc_message_with_base(const krpc_message *message,
                                     const krpc_shape *shape,
                                     const krpc_message *base,
                                     krpc_error **error);

/**
 * Frees a message that you own. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_message_free(krpc_message *message);

/* ---- krpc_metainfo: key-value pairs that travel beside a call ---------------------------- */

/**
 * An empty set of pairs, owned by the caller.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_metainfo *krpc_metainfo_new(void);

/**
 * Sets a pair; replaces the value of a key that is there already.
 *
 * `kind`: a `krpc_metainfo_kind`. `key`: not empty. `value`: may be empty, but receivers ignore pairs
 * with an empty value. Both are copied.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
 */
krpc_status krpc_metainfo_set(krpc_metainfo *metainfo,
                              int32_t kind,
                              krpc_str key,
                              krpc_str value,
                              krpc_error **error);

/**
 * The value of a key.
 *
 * `kind`: a `krpc_metainfo_kind`. `key`: borrowed for the call. `value` (optional): borrowed from
 * `metainfo`, valid until it is changed or freed.
 * Returns false, and sets an empty value, if there is no such pair.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_metainfo_get(const krpc_metainfo *metainfo,
                       int32_t kind,
                       krpc_str key,
                       krpc_str *value);

/**
 * Number of pairs, of all kinds. 0 if `metainfo` is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
size_t krpc_metainfo_count(const krpc_metainfo *metainfo);

/**
 * One pair, in the order they were set or received, 0 ≤ `index` < `krpc_metainfo_count`.
 *
 * `kind` (optional): receives a `krpc_metainfo_kind`. `key` and `value` (both optional): borrowed from
 * `metainfo`, valid until it is changed or freed.
 * Returns false, and sets 0 and empty, if there is no such pair.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_metainfo_at(const krpc_metainfo *metainfo,
                      size_t index,
                      int32_t *kind,
                      krpc_str *key,
                      krpc_str *value);

/**
 * The same pairs in a set of their own, owned by the caller: for passing on, or keeping, what is
 * borrowed. NULL if `metainfo` is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_metainfo *krpc_metainfo_copy(const krpc_metainfo *metainfo);

/**
 * Frees metainfo that you own. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_metainfo_free(krpc_metainfo *metainfo);

/* ---- krpc_method: a method that is called often, prepared once --------------------------- */

/**
 * Prepares a method.
 *
 * `client`: the client that will call it. `name`: "Service/Method" with IDL names, or "Method", which
 * leaves the service to the server; UTF-8, borrowed for the call. `flags`: 0 or `KRPC_METHOD_FLAG_ONEWAY`.
 * Returns an owned method, or NULL and an error. It may outlive the client.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_method *krpc_client_method(const krpc_client *client,
                                krpc_str name,
                                uint32_t flags,
                                krpc_error **error);

/**
 * Prepares a method of an IDL: whether it is oneway is known from there, and `krpc_method_request_shape`
 * and `krpc_method_result_shape` make JSON and readers of its messages.
 *
 * A method that streams is for `krpc_client_open_stream`, in the mode that `krpc_method_mode` says; its shapes are
 * those of each message. Calling it is UNSUPPORTED.
 *
 * `client`: the client that will call it. `idl`: what is needed of it is kept. `name`: "Service/Method", or
 * "Method" of the main service; borrowed for the call. `flags`: 0.
 * Returns an owned method, or NULL and an error; a name that the IDL does not know is INVALID_ARGUMENT, and
 * the text says what may have been meant. It may outlive client and IDL.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_method *krpc_client_method_from_idl(const krpc_client *client,
                                         const krpc_idl *idl,
                                         krpc_str name,
                                         uint32_t flags,
                                         krpc_error **error);

/**
 * How many messages the method takes and gives, as its IDL says: a `krpc_streaming`. `KRPC_STREAMING_NONE` if it was
 * not made from an IDL: then it may be called or streamed, in any mode that the server knows.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_streaming krpc_method_mode(const krpc_method *method);

/**
 * The shape of the method's requests, of each message if it streams. Borrowed from `method`; NULL if it was not made
 * from an IDL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_shape *krpc_method_request_shape(const krpc_method *method);

/**
 * The shape of the method's results, of each message if it streams. Borrowed from `method`; NULL if it was not made from an IDL, or is
 * oneway.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_shape *krpc_method_result_shape(const krpc_method *method);

/**
 * Frees a method, and with it its shapes. NULL is fine.
 *
 * Thread: any thread, once, when no call uses it any more. Errors: none. Since: 0.1.
 */
void krpc_method_free(krpc_method *method);

/* ---- krpc_op: something under way that ends exactly once --------------------------------- */

/**
 * Asks for the end. The operation then ends as CANCELLED or with its real result, whichever comes first;
 * its completion is delivered as usual. Does nothing once it has ended.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_op_cancel(const krpc_op *op);

/**
 * Whether the operation has ended.
 *
 * Thread: any thread. Errors: none; false if `op` is NULL. Since: 0.1.
 */
bool krpc_op_is_done(const krpc_op *op);

/**
 * Waits for the end, whatever style of completion was chosen, and consumes nothing of it.
 *
 * `timeout_ms`: milliseconds; 0 looks without waiting, `KRPC_FOREVER` waits as long as it takes.
 * Returns OK once the operation has ended, however it ended, and TIMEOUT if it has not.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: INVALID_ARGUMENT, TIMEOUT, WOULD_DEADLOCK. Since: 0.1.
 */
krpc_status krpc_op_wait(const krpc_op *op, int64_t timeout_ms);

/**
 * The reply of an operation that has ended, owned by the caller: for the first who asks, be it here or by
 * taking the event. NULL before the end and afterwards.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_reply *krpc_op_take_reply(const krpc_op *op);

/**
 * Frees an operation. NULL is fine. One that is under way is cancelled and its completion dropped: no
 * callback starts any more, its event is never taken, its place in the queue is returned, `destroy` runs.
 * A callback or take that is already running may still finish. Never blocks.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_op_free(krpc_op *op);

/* ---- The process: what a child of fork may do -------------------------------------------- */

/**
 * Closes the sockets that a child has inherited from its parent's libraries: listeners and connections of
 * servers and clients, as far as they are still the same files. Without it the parent's addresses stay in
 * use and its peers see no end until the child has exited as well. Other descriptors stay: those of event
 * loops and queues. Returns how many were closed; 0 in a process that is no child. Sockets that the child
 * has made itself stay open.
 *
 * Thread: any thread of a child. Errors: none. Since: 0.1.
 */
size_t krpc_fork_close_inherited(void);

/* ---- krpc_queue: a bounded queue of completions, requests, streams and questions --------- */

/**
 * A queue.
 *
 * `capacity`: events that can be reserved and waiting together, 1 to 1,048,576. A call reserves its place
 * when it starts, so that its completion never waits for room.
 * Returns an owned queue, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_queue *krpc_queue_new(size_t capacity,
                           krpc_error **error);

/**
 * A descriptor that is readable while there is something to take, for poll, epoll, asyncio, libuv: level-
 * or edge-triggered. It belongs to the queue: do not read, write or close it. A take that empties the queue
 * makes it silent; it stays readable while events are left, and rings once for a burst. So a host that
 * watches it edge-triggered takes until fewer events come than it had room for.
 *
 * `fd`: receives the descriptor, -1 on an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, OUT_OF_RESOURCES. Since: 0.1.
 */
krpc_status krpc_queue_fd(const krpc_queue *queue,
                          int32_t *fd,
                          krpc_error **error);

/**
 * Takes events, in the order in which they came.
 *
 * `events`: receives up to `capacity` events of `event_size` bytes each, `sizeof(krpc_event)`.
 * `timeout_ms`: how long to wait for the first; 0 looks without waiting, `KRPC_FOREVER` waits as long as
 * it takes. `count`: receives how many came, 0 if the time was up.
 * After a shutdown, when everything was taken, the last event is `KRPC_EVENT_KIND_QUEUE_END`; every
 * further take gives it again, at once.
 *
 * Thread: any thread; with a timeout, any that may block. Errors: INVALID_ARGUMENT, WOULD_DEADLOCK.
 * Since: 0.1.
 */
krpc_status krpc_queue_take(const krpc_queue *queue,
                            krpc_event *events,
                            size_t event_size,
                            size_t capacity,
                            int64_t timeout_ms,
                            size_t *count);

/**
 * Releases what an event carries and sets its pointers to NULL. NULL is fine. A request, question
 * or stream that was not answered is answered by that.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_event_release(krpc_event *event);

/**
 * Releases many events with one call.
 *
 * `events`: `count` events of `event_size` bytes each.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_event_release_many(krpc_event *events, size_t event_size, size_t count);

/**
 * Asks the operations with this tag to end: they are delivered as CANCELLED, or with their real result if
 * that came first. Returns how many were asked.
 *
 * Thread: any thread. Errors: none; 0 if `queue` is NULL. Since: 0.1.
 */
size_t krpc_queue_cancel(const krpc_queue *queue,
                         uint64_t tag);

/**
 * Ends a queue: nothing new is accepted, operations under way end as CLOSED or with their real result,
 * what is there can still be taken, and then comes `KRPC_EVENT_KIND_QUEUE_END`. Calling it again does
 * nothing.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_queue_shutdown(const krpc_queue *queue);

/**
 * Reads the counters of a queue.
 *
 * `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_queue_read_stats(const krpc_queue *queue, krpc_queue_stats *stats);

/**
 * Frees a queue. NULL is fine. What was not taken is released; operations under way end as CLOSED, unseen.
 *
 * Thread: any thread, once; not while another thread takes from it. Errors: none. Since: 0.1.
 */
void krpc_queue_free(krpc_queue *queue);

/* ---- krpc_reader: reads a message in Thrift Binary, value by value ----------------------- */

/**
 * A reader at the start of a message, which it retains. A message of several segments is joined, by one
 * copy.
 *
 * Returns an owned reader, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, UNSUPPORTED if the message is not Thrift Binary.
 * Since: 0.1.
 */
krpc_reader *krpc_reader_new(const krpc_message *message,
                             krpc_error **error);

/**
 * A reader for messages of a shape. Fields can be looked for by name, in any order
 * (`krpc_reader_find_name`). More is checked: each field that the IDL knows has the IDL's type, and structs
 * that were opened have their required fields, at their end. Unknown fields are read as without a shape.
 *
 * A request whose only argument is a struct is opened inside of that, a result inside of the returned
 * struct; where the value is no struct, it is due at once. Without arguments or with several, the arguments
 * are the fields. `krpc_reader_end` ends what was opened here.
 *
 * ```c
 * krpc_reader *r = krpc_reader_new_typed(krpc_reply_message(reply), krpc_method_result_shape(say), NULL);
 * if (krpc_reader_find_name(r, KRPC_STR("text"), NULL))
 *     krpc_reader_string(r, &text);
 * krpc_status status = krpc_reader_end(r, &error);
 * ```
 * Returns an owned reader, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, UNSUPPORTED if the message is not Thrift Binary,
 * MISSING_FIELD without the argument or result, TYPE_MISMATCH, MALFORMED, CODEC_LIMIT. Since: 0.1.
 */
krpc_reader *krpc_reader_new_typed(const krpc_message *message,
                                   const krpc_shape *shape,
                                   krpc_error **error);

/**
 * Goes to the field of this name in the current struct, wherever it is. For readers with a shape.
 *
 * `name`: as in the IDL. `type` (optional): its `krpc_type`.
 * Returns false, and sets 0, if the message does not have it, and if a step has failed. A name that the IDL
 * does not have is a failure, whose text says what may have been meant. Takes time with the size of the
 * struct; for many fields of a large one use `krpc_reader_field`.
 *
 * Thread: one at a time. Errors: as `krpc_reader_field`, INVALID_ARGUMENT; they stick. Since: 0.1.
 */
bool krpc_reader_find_name(krpc_reader *reader,
                           krpc_str name,
                           int32_t *type);

/**
 * The name of the current field. Borrowed from `reader`; empty without a shape, and if the IDL does not
 * know the field.
 *
 * Thread: one at a time. Errors: none. Since: 0.1.
 */
krpc_str krpc_reader_field_name(const krpc_reader *reader);

/**
 * Reads an enum. For readers with a shape.
 *
 * `number` (optional). `name` (optional): that of the number in the IDL, borrowed from `reader`; empty if
 * it has none.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
 */
krpc_status krpc_reader_enum(krpc_reader *reader,
                             int32_t *number,
                             krpc_str *name);

/**
 * Goes on to the next field of the current struct.
 *
 * `id` and `type` (both optional): the field's id, and its `krpc_type`.
 * Returns false, and sets both 0, at the end of the struct, and if a step has failed.
 *
 * Thread: one at a time. Errors: INVALID_STATE inside a container, MALFORMED, CODEC_LIMIT; they stick.
 * Since: 0.1.
 */
bool krpc_reader_field(krpc_reader *reader,
                       int16_t *id,
                       int32_t *type);

/**
 * Goes on to the next field with this id, and skips those before it. Fields that have passed are not
 * found again: fields may come in any order, so look for several with `krpc_reader_field`.
 *
 * `type` (optional): its `krpc_type`.
 * Returns false, and sets 0, if the struct ends before, and if a step has failed.
 *
 * Thread: one at a time. Errors: as `krpc_reader_field`; they stick. Since: 0.1.
 */
bool krpc_reader_find(krpc_reader *reader,
                      int16_t id,
                      int32_t *type);

/**
 * Reads a bool. Only byte 1 is true.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
 */
krpc_status krpc_reader_bool(krpc_reader *reader, bool *value);

/**
 * Reads an i8.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
 */
krpc_status krpc_reader_i8(krpc_reader *reader, int8_t *value);

/**
 * Reads an i16.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
 */
krpc_status krpc_reader_i16(krpc_reader *reader, int16_t *value);

/**
 * Reads an i32, or an enum's number.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
 */
krpc_status krpc_reader_i32(krpc_reader *reader, int32_t *value);

/**
 * Reads an i64.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
 */
krpc_status krpc_reader_i64(krpc_reader *reader, int64_t *value);

/**
 * Reads a double.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
 */
krpc_status krpc_reader_double(krpc_reader *reader, double *value);

/**
 * Reads text, which need not be UTF-8.
 *
 * `value` (optional): borrowed from `reader`.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
 */
krpc_status krpc_reader_string(krpc_reader *reader, krpc_str *value);

/**
 * Reads bytes.
 *
 * `value` (optional): borrowed from `reader`.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED; they stick. Since: 0.1.
 */
krpc_status krpc_reader_binary(krpc_reader *reader, krpc_bytes *value);

/**
 * Opens a list: its elements follow, `count` of them.
 *
 * `element_type` (optional): a `krpc_type`; means nothing if the list is empty. `count` (optional).
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED, CODEC_LIMIT; they stick.
 * Since: 0.1.
 */
krpc_status krpc_reader_list(krpc_reader *reader, int32_t *element_type, size_t *count);

/**
 * Opens a set: its elements follow, `count` of them.
 *
 * `element_type` (optional): a `krpc_type`; means nothing if the set is empty. `count` (optional).
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED, CODEC_LIMIT; they stick.
 * Since: 0.1.
 */
krpc_status krpc_reader_set(krpc_reader *reader, int32_t *element_type, size_t *count);

/**
 * Opens a map: its pairs follow, `count` of them, each a key and then its value.
 *
 * `key_type` and `value_type` (both optional): a `krpc_type` each; mean nothing if the map is empty.
 * `count` (optional).
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, MALFORMED, CODEC_LIMIT; they stick.
 * Since: 0.1.
 */
krpc_status krpc_reader_map(krpc_reader *reader,
                            int32_t *key_type,
                            int32_t *value_type,
                            size_t *count);

/**
 * Opens a struct that is a value: its fields follow.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, CODEC_LIMIT; they stick. Since: 0.1.
 */
krpc_status krpc_reader_struct_begin(krpc_reader *reader);

/**
 * Leaves the struct opened last; fields that were not read are skipped. Not for the outermost struct.
 *
 * Thread: one at a time. Errors: INVALID_STATE, MALFORMED, CODEC_LIMIT; they stick. Since: 0.1.
 */
krpc_status krpc_reader_struct_end(krpc_reader *reader);

/**
 * Reads a whole struct that is a value as a message of its own, which shares the bytes: to keep it, to
 * pass it on with `krpc_writer_struct`, or to read it with a reader of its own.
 *
 * `message`: receives an owned message; NULL on failure.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH, MALFORMED,
 * CODEC_LIMIT; they stick. Since: 0.1.
 */
krpc_status krpc_reader_struct(krpc_reader *reader,
                               krpc_message **message);

/**
 * Skips the value that is due: of the current field, or the next element, key or value of a container.
 *
 * Thread: one at a time. Errors: INVALID_STATE, MALFORMED, CODEC_LIMIT; they stick. Since: 0.1.
 */
krpc_status krpc_reader_skip(krpc_reader *reader);

/**
 * The status of the first failure; `KRPC_OK` while there is none. INVALID_ARGUMENT if `reader` is NULL.
 *
 * Thread: one at a time. Errors: none. Since: 0.1.
 */
krpc_status krpc_reader_status(const krpc_reader *reader);

/**
 * The first failure, with the field and the byte it was at; NULL while there is none. Borrowed from
 * `reader`.
 *
 * Thread: one at a time. Errors: none. Since: 0.1.
 */
const krpc_error *krpc_reader_error(krpc_reader *reader);

/**
 * Checks that the message was well-formed to its end: skips what was not read of the outermost struct,
 * and fails if a nested struct or container was left unfinished or if anything comes after the struct.
 * The reader and its views stay.
 *
 * Thread: one at a time. Errors: the first failure of any step; INVALID_ARGUMENT, INVALID_STATE,
 * MALFORMED, CODEC_LIMIT; with a shape TYPE_MISMATCH, MISSING_FIELD. Since: 0.1.
 */
krpc_status krpc_reader_end(krpc_reader *reader,
                            krpc_error **error);

/**
 * Frees a reader, and with it the views it gave. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_reader_free(krpc_reader *reader);

/* ---- krpc_reply: how an operation ended, whatever the outcome ---------------------------- */

/**
 * How the operation ended. `KRPC_OK` if it went well; INVALID_ARGUMENT if `reply` is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_status krpc_reply_status(const krpc_reply *reply);

/**
 * The *result* struct of a call, or NULL if none came; a business error may come with one. Of a recv the
 * message, and NULL with status OK when the peer has said everything. Borrowed from `reply`; keep it longer with `krpc_message_retain`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_message *krpc_reply_message(const krpc_reply *reply);

/**
 * How many messages the operation ended with: those of a recv of many; else 1, or 0 if there is none.
 *
 * Thread: any thread. Errors: none; 0 if `reply` is NULL. Since: 0.1.
 */
size_t krpc_reply_message_count(const krpc_reply *reply);

/**
 * A message, 0 ≤ `index` < `krpc_reply_message_count`, in the order in which they came; NULL beyond. The first is
 * that of `krpc_reply_message`. Borrowed from `reply`; keep it longer with `krpc_message_retain`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_message *krpc_reply_message_at(const krpc_reply *reply,
                                          size_t index);

/**
 * The pairs that the handler sent back, those of a header or trailer that was waited for, of kind
 * `KRPC_METAINFO_KIND_BACKWARD`; NULL only if `reply` is.
 * Borrowed from `reply`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_metainfo *krpc_reply_metainfo(const krpc_reply *reply);

/**
 * Why the call failed, or NULL if it went well. Borrowed from `reply`: do not free it.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_error *krpc_reply_error(const krpc_reply *reply);

/**
 * The last address that was tried, e.g. "127.0.0.1:8888"; empty if none was. Borrowed from `reply`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_reply_peer(const krpc_reply *reply);

/**
 * The stream that `krpc_client_start_open_stream` opened, owned by the caller: for the first who asks. NULL
 * afterwards, after a failure and from replies of anything else. A stream that nobody takes is cancelled with
 * its reply.
 *
 * Thread: one at a time. Errors: none. Since: 0.1.
 */
krpc_stream *krpc_reply_take_stream(krpc_reply *reply);

/**
 * Sizes, times and attempts of a call; zeros of anything else.
 *
 * `facts`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_reply_facts(const krpc_reply *reply, krpc_facts *facts);

/**
 * How many attempts are known one by one: 0 for a call that took one, else their number.
 *
 * Thread: any thread. Errors: none; 0 if `reply` is NULL. Since: 0.1.
 */
size_t krpc_reply_attempt_count(const krpc_reply *reply);

/**
 * One attempt, in the order of their starts.
 *
 * `index`: below `krpc_reply_attempt_count`. `attempt`: its `struct_size` must be set; the fields that it has
 * room for are filled in, views are borrowed from `reply`.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_reply_attempt(const krpc_reply *reply,
                               size_t index,
                               krpc_attempt *attempt);

/**
 * Frees a reply and all that is borrowed from it. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_reply_free(krpc_reply *reply);

/* ---- What the library knows about itself: live handles, for leak checks and operators ---- */

/**
 * Number of handles that you own now, over the whole process. 0 at the end of a program that frees all.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
size_t krpc_live_handles(void);

/**
 * A report on the handles of the whole process, not counting the returned message itself.
 *
 * `format`: a `krpc_report_format`. The message's encoding is `KRPC_ENCODING_RAW` for text,
 * `KRPC_ENCODING_JSON` for JSON; read it with `krpc_message_bytes`.
 * Returns an owned message, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_message *krpc_runtime_report(int32_t format, krpc_error **error);

/* ---- krpc_request: a call in the hands of a handler -------------------------------------- */

/**
 * The method's name, as the caller sent it. Borrowed from `request`; empty if that is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_request_method(const krpc_request *request);

/**
 * The name of the service that takes the call; for a catch-all as the caller sent it, which may be
 * empty. Borrowed from `request`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_request_service(const krpc_request *request);

/**
 * The name that the caller gives itself (`krpc_client_options_set_caller`), for logs; empty if it gives
 * none. Carried by TTHeader only. Borrowed from `request`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_request_caller(const krpc_request *request);

/**
 * The caller's address, e.g. "127.0.0.1:40522", or "unix". Borrowed from `request`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_request_peer(const krpc_request *request);

/**
 * Reads which process and user made the caller's connection, as the system says.
 *
 * `credentials`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT; UNSUPPORTED unless the caller came through a unix socket.
 * Since: 0.1.
 */
krpc_status krpc_request_peer_credentials(const krpc_request *request,
                                          krpc_peer_credentials *credentials,
                                          krpc_error **error);

/**
 * Whether the caller waits for no answer. Answers to such a request are accepted and dropped.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_request_is_oneway(const krpc_request *request);

/**
 * How long the caller waits, in milliseconds, as it told with the request; 0 if it did not. Counted from
 * the caller's own start.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
int64_t krpc_request_caller_timeout_ms(const krpc_request *request);

/**
 * Whether the caller has been seen to leave: the work can stop, nobody waits for the answer.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_request_is_abandoned(const krpc_request *request);

/**
 * Whether the server is being stopped: an answer is still sent, but long work should end.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_request_is_stopping(const krpc_request *request);

/**
 * The *args* struct; NULL only if `request` is. Borrowed from `request`; keep it longer with
 * `krpc_message_retain`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_message *krpc_request_message(const krpc_request *request);

/**
 * The shape of the arguments. Borrowed from `request`; NULL if its service was not made from an IDL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_shape *krpc_request_shape(const krpc_request *request);

/**
 * The shape of the result. Borrowed from `request`; NULL if its service was not made from an IDL, or the
 * method is oneway.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_shape *krpc_request_result_shape(const krpc_request *request);

/**
 * The arguments as JSON: the value of the only one, or an object with a member for each.
 *
 * `options`: NULL for the defaults. Returns an owned message in `KRPC_ENCODING_JSON`, or NULL and an error
 * with the place. If the arguments don't fit the IDL there is no need to answer: once the request is freed,
 * its caller gets an application exception of type 7 with the error's text.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE if the service was not made from an IDL;
 * MALFORMED, TYPE_MISMATCH, MISSING_FIELD, UNKNOWN_FIELD, CODEC_LIMIT, UNSUPPORTED. Since: 0.1.
 */
krpc_message *krpc_request_to_json(krpc_request *request,
                                   const krpc_json_options *options,
                                   krpc_error **error);

/**
 * The pairs that came with the call, of kinds UPSTREAM and PERSISTENT; NULL only if `request` is. Pass
 * them as they are to calls that the handler makes: what must travel on does. Borrowed from `request`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_metainfo *krpc_request_metainfo(const krpc_request *request);

/**
 * Sends a pair back with the answer; replaces the value of a key set before. Carried by TTHeader only.
 *
 * `key`, not empty, and `value`: copied.
 *
 * Thread: one at a time, before the answer. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_request_set_backward(krpc_request *request,
                                      krpc_str key,
                                      krpc_str value,
                                      krpc_error **error);

/**
 * Answers with the *result* struct: field 0 is the return value; `void` is an empty struct.
 *
 * `result`: borrowed for the call, its bytes are shared; NULL is an empty struct.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, GONE. Since: 0.1.
 */
krpc_status krpc_request_reply(krpc_request *request,
                               const krpc_message *result,
                               krpc_error **error);

/**
 * Answers with a result in JSON. On an error that is not INVALID_STATE or GONE the request is still to be
 * answered.
 *
 * `json`: the return value; `null` for void; UTF-8, borrowed for the call. `options`: NULL for the defaults.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE (also if the service was not made from an
 * IDL), GONE; MALFORMED, TYPE_MISMATCH, MISSING_FIELD, UNKNOWN_FIELD, CODEC_LIMIT, UNSUPPORTED. Since: 0.1.
 */
krpc_status krpc_request_reply_json(krpc_request *request,
                                    krpc_str json,
                                    const krpc_json_options *options,
                                    krpc_error **error);

/**
 * Throws an exception declared in the IDL, in JSON. On an error that is not INVALID_STATE or GONE the
 * request is still to be answered.
 *
 * `exception`: its name in `throws`, the name of its type, or its field id in digits. `json`: its value;
 * UTF-8, borrowed for the call. `options`: NULL for the defaults.
 *
 * Thread: one at a time. Errors: as `krpc_request_reply_json`. Since: 0.1.
 */
krpc_status krpc_request_throw_json(krpc_request *request,
                                    krpc_str exception,
                                    krpc_str json,
                                    const krpc_json_options *options,
                                    krpc_error **error);

/**
 * Answers many requests with their *result* structs, in one crossing.
 *
 * `requests` and `results`: `count` each, as of `krpc_request_reply`; requests stay to be freed. `results`
 * may be NULL: empty structs for all. `statuses` (optional): receives how each answer went, `count` of
 * them. Returns how many were answered, 0 if an array is NULL.
 *
 * Thread: one at a time. Errors: none but in `statuses`: INVALID_ARGUMENT, INVALID_STATE, GONE.
 * Since: 0.1.
 */
size_t krpc_request_reply_many(krpc_request *const *requests,
                               const krpc_message *const *results,
                               size_t count,
                               krpc_status *statuses);

/**
 * Throws an exception declared in the IDL.
 *
 * `field_id`: its field in the method's `throws` list, not 0. `exception`: its own struct; borrowed for
 * the call, its bytes are shared.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, GONE. Since: 0.1.
 */
krpc_status krpc_request_throw(krpc_request *request,
                               int16_t field_id,
                               const krpc_message *exception,
                               krpc_error **error);

/**
 * Answers with a business status: the RPC worked, the business said no. Carried by TTHeader only:
 * callers with another transport see an empty success.
 *
 * `code`: not 0. `message`: text for people, may be empty, copied. `extra`: NULL, or pairs to go with
 * it; those of kind BACKWARD are taken, and copied.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, GONE. Since: 0.1.
 */
krpc_status krpc_request_fail_biz(krpc_request *request,
                                  int32_t code,
                                  krpc_str message,
                                  const krpc_metainfo *extra,
                                  krpc_error **error);

/**
 * Answers with an application exception, in the words of Kitex: type 6 says "biz error: text", others
 * "text [biz error]".
 *
 * `type_id`: 6 for an internal error, 7 if the arguments cannot be read (which also ends the
 * connection), or a number of your own above 21. `text`: for the caller, copied.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, GONE. Since: 0.1.
 */
krpc_status krpc_request_fail(krpc_request *request,
                              int32_t type_id,
                              krpc_str text,
                              krpc_error **error);

/**
 * Frees a request and all that is borrowed from it. NULL is fine. If it was not answered, the caller
 * is told that the handler gave no answer.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_request_free(krpc_request *request);

/* ---- krpc_retry: when a call takes another attempt --------------------------------------- */

/**
 * A policy with the defaults of its kind: FAILURE two retries, BACKUP and MIXED one; no backoff.
 *
 * `kind`: a `krpc_retry_kind`. `delay_ms`: of BACKUP and MIXED, after how many milliseconds without an
 * answer another attempt begins, at least 1; the method's p99 is a good value. 0 for FAILURE.
 * Returns an owned policy, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_retry *krpc_retry_new(int32_t kind,
                           uint32_t delay_ms,
                           krpc_error **error);

/**
 * A policy as config centres carry it: `{"enable":true,"type":2,"mixed_policy":{"retry_delay_ms":40,…}}`
 * (governance.md §1.8).
 *
 * `json`: UTF-8, borrowed. Returns an owned policy, or NULL and an error that says what is refused.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, MALFORMED. Since: 0.1.
 */
krpc_retry *krpc_retry_from_json(krpc_str json,
                                 krpc_error **error);

/**
 * How many further attempts there are at most: FAILURE 0 to 5, BACKUP 0 to 2, MIXED 0 to 3; 0 is "never
 * retry".
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
 */
krpc_status krpc_retry_set_max_retries(krpc_retry *retry,
                                       uint32_t max_retries,
                                       krpc_error **error);

/**
 * No further attempt begins when the call has lasted longer, in milliseconds; 0, the default, is no limit.
 * BACKUP ignores it.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_retry_set_max_duration_ms(krpc_retry *retry,
                                           uint32_t max_duration_ms,
                                           krpc_error **error);

/**
 * A pause before each further attempt after a failure, in milliseconds: from `min_ms` to less than `max_ms`
 * at random, or always `min_ms` if both are the same; 0 and 0 is none, which is the default. BACKUP
 * ignores it.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
 */
krpc_status krpc_retry_set_backoff_ms(krpc_retry *retry,
                                      uint32_t min_ms,
                                      uint32_t max_ms,
                                      krpc_error **error);

/**
 * Which errors are worth another attempt: a `krpc_retry_errors`. BACKUP ignores it.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
 */
krpc_status krpc_retry_set_errors(krpc_retry *retry,
                                  int32_t errors,
                                  krpc_error **error);

/**
 * Whether further attempts go to the address of the one before; by default they avoid all earlier ones, if
 * there are others.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_retry_set_same_node(krpc_retry *retry,
                                     bool same_node,
                                     krpc_error **error);

/**
 * Whether calls made while serving a request that is itself a retry are made without retries: true by
 * default, so that attempts do not multiply over hops.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_retry_set_chain_stop(krpc_retry *retry,
                                      bool chain_stop,
                                      krpc_error **error);

/**
 * The part of a method's attempts in ten seconds that may be further ones, above 0 and at most 0.3; default
 * 0.1. Up to 10 attempts in that time are free.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
 */
krpc_status krpc_retry_set_share(krpc_retry *retry,
                                 double share,
                                 krpc_error **error);

/**
 * Lets the delay of BACKUP and MIXED follow the method's own latency, which the reference cannot.
 *
 * `quantile`: e.g. 0.95, between 0 and 1. `min_samples`: how many first attempts in ten seconds it takes; with
 * fewer the fixed delay counts. `min_ms`, `max_ms`: bounds of the delay.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT; then nothing has changed. Since: 0.1.
 */
krpc_status krpc_retry_set_delay_quantile(krpc_retry *retry,
                                          double quantile,
                                          uint32_t min_samples,
                                          uint32_t min_ms,
                                          uint32_t max_ms,
                                          krpc_error **error);

/**
 * Frees a policy. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_retry_free(krpc_retry *retry);

/**
 * Gives a method's calls a retry policy; a call's own (`krpc_call_options.retry`) comes first.
 *
 * `method`: its name without the service, or "*" for all methods without a policy of their own; UTF-8, copied.
 * `retry`: copied. Takes the place of an earlier policy for the same method.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_retry(krpc_client_options *options,
                                          krpc_str method,
                                          const krpc_retry *retry,
                                          krpc_error **error);

/* ---- krpc_runtime: the threads that serve ------------------------------------------------ */

/**
 * Starts a runtime.
 *
 * `options`: NULL for the defaults; copied. Returns an owned runtime, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, UNSUPPORTED, OUT_OF_RESOURCES. Since: 0.1.
 */
krpc_runtime *krpc_runtime_new(const krpc_runtime_options *options,
                               krpc_error **error);

/**
 * Ends the runtime's threads and with them all its connections; servers on it answer no more. Waits
 * until running handlers have returned. Calling it again does nothing.
 *
 * Thread: any thread of the host; never from a callback (WOULD_DEADLOCK).
 * Errors: INVALID_ARGUMENT, WOULD_DEADLOCK. Since: 0.1.
 */
krpc_status krpc_runtime_shutdown(krpc_runtime *runtime, krpc_error **error);

/**
 * Frees a runtime. NULL is fine. Its threads end now, or with the last server that uses it. Handlers
 * that run are not waited for: their threads end with them. To wait, use `krpc_runtime_shutdown`.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_runtime_free(krpc_runtime *runtime);

/* ---- krpc_server: listens and hands requests to handlers --------------------------------- */

/**
 * Starts a server: when this returns, it listens.
 *
 * `options`: always consumed, also on failure. Returns an owned server, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED if the runtime was shut down, RESOLVE_FAILED,
 * LISTEN_FAILED, OUT_OF_RESOURCES. Since: 0.1.
 */
krpc_server *krpc_server_build(krpc_server_options *options,
                               krpc_error **error);

/**
 * An address that the server listens on, in the order they were added, with the port that the system
 * chose for port 0. Borrowed from `server`; empty if there is no such address.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_server_address(const krpc_server *server,
                             size_t index);

/**
 * Requests being handled now.
 *
 * Thread: any thread. Errors: none; 0 if `server` is NULL. Since: 0.1.
 */
size_t krpc_server_in_flight(const krpc_server *server);

/**
 * Reads a server's counters.
 *
 * `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_read_stats(const krpc_server *server,
                                   krpc_server_stats *stats);

/**
 * Stops gracefully: accepts no more connections, lets requests that have arrived be answered, tells
 * TTHeader clients to go elsewhere, and cuts off what is left after `grace_ms`. Blocks until then.
 * Calling it again does nothing. A handler that calls it waits for its own request too, until the grace ends.
 *
 * `grace_ms`: milliseconds, 0 cuts off at once, `KRPC_FOREVER` waits as long as it takes. `stopped`
 * (optional): receives counts; its `struct_size` must be set.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: INVALID_ARGUMENT, WOULD_DEADLOCK. Since: 0.1.
 */
krpc_status krpc_server_stop(const krpc_server *server,
                             int64_t grace_ms,
                             krpc_stopped *stopped,
                             krpc_error **error);

/**
 * Frees a server. NULL is fine. What was not stopped is cut off: handlers that run may go on, their
 * answers are GONE. Destroy functions run once their handlers have returned.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_server_free(krpc_server *server);

/* ---- krpc_server_options: the builder of a server ---------------------------------------- */

/**
 * An empty builder for a server, owned by the caller.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_server_options *krpc_server_options_new(void);

/**
 * Adds an address to listen on.
 *
 * `address`: "127.0.0.1:8888", "[::]:8888", "host:8888" or "unix:/path"; port 0 lets the system
 * choose (see `krpc_server_address`); UTF-8, copied. A unix path that nobody listens on is replaced.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_add_address(krpc_server_options *options,
                                            krpc_str address,
                                            krpc_error **error);

/**
 * Adds a service. `service`: always consumed, also on failure.
 *
 * Calls that name no service go to the fallback service, or to the first that has the method; two
 * services with a common method need a fallback that has it (checked by `krpc_server_build`).
 * `fallback`: whether this is the fallback service; there can be one.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_add_service(krpc_server_options *options,
                                            krpc_service *service,
                                            bool fallback,
                                            krpc_error **error);

/**
 * Sets the handler of calls that no service takes: unknown services and unknown methods. Without it
 * they are answered as such. Such calls are oneway if their message says so.
 *
 * Parameters as of `krpc_service_add_method`.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_catch_all(krpc_server_options *options,
                                              krpc_handler_fn handler,
                                              void *user_data,
                                              krpc_destroy_fn destroy,
                                              krpc_error **error);

/**
 * Asks a function before each request is handled.
 *
 * `check`: called with `user_data` and a question; it says yes, or no. `destroy` (optional): called once
 * with `user_data` when the server is gone, also if this function fails.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_acl(krpc_server_options *options,
                                        krpc_acl_fn check,
                                        void *user_data,
                                        krpc_destroy_fn destroy,
                                        krpc_error **error);

/**
 * Asks through a queue before each request is handled, as `KRPC_EVENT_KIND_DECISION`.
 *
 * `queue`: kept alive by the server. `tag`: the host's word for the questions. `timeout_ms`: how long the
 * host has for an answer, at least 1. `allow_by_default`: what counts without an answer in time, and
 * without room in the queue.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_acl_queue(krpc_server_options *options,
                                              const krpc_queue *queue,
                                              uint64_t tag,
                                              int64_t timeout_ms,
                                              bool allow_by_default,
                                              krpc_error **error);

/**
 * Makes the timeout that a caller tells the deadline of its request's context, so that calls made for it
 * end in time. Default false, as in Kitex.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_follow_caller_timeout(krpc_server_options *options,
                                                          bool follow,
                                                          krpc_error **error);

/**
 * Serves only calls that name their service exactly, as Kitex's refuse option does. Default false.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_require_service_name(krpc_server_options *options,
                                                         bool required,
                                                         krpc_error **error);

/**
 * Chooses the runtime to run on, which is kept alive by the server. Default: the shared one.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_runtime(krpc_server_options *options,
                                            const krpc_runtime *runtime,
                                            krpc_error **error);

/**
 * Sets how many requests may be handled at once; more are answered "request over limit". Default
 * 10,000.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_max_in_flight(krpc_server_options *options,
                                                  size_t count,
                                                  krpc_error **error);

/**
 * Sets how many connections may be open at once; more are closed at accept. Default 100,000.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_max_connections(krpc_server_options *options,
                                                    size_t count,
                                                    krpc_error **error);

/**
 * Sets the largest request or message of a stream in bytes, 1 to 0x3FFFFFFF. Default 64 MiB. Larger ones end their connection
 * before memory is reserved.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_max_frame_bytes(krpc_server_options *options,
                                                    size_t bytes,
                                                    krpc_error **error);

/**
 * Accepts Thrift messages without the strict version word, as very old Apache clients send them.
 * Default false.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_allow_old_style(krpc_server_options *options,
                                                    bool allow,
                                                    krpc_error **error);

/**
 * Chooses whether replies are sent with a CRC-32C of their payload, and requests that bring one are checked
 * against it before they are read (TTHeader only; Kitex's `WithCodec` with `CRC32Check`). A request that does
 * not match is not answered: its connection ends or, if that is multiplexed, its caller waits in vain.
 * Default false: the callers' checksums are ignored.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_checksum(krpc_server_options *options,
                                             bool checksum,
                                             krpc_error **error);

/**
 * Sets when a peer that has vanished without a word is looked for: its host died, or a device between lost
 * the connection. TCP only. Default: 30,000, 10,000 and 3.
 *
 * `time_ms`: silence before the first probe, at least 1; rounded up to seconds; `KRPC_FOREVER`: no probes.
 * `interval_ms`: between probes, at least 1; rounded up to seconds. `count`: probes without an answer, 1 to
 * 127; counts only without a user timeout (`krpc_server_options_set_tcp_user_timeout_ms`).
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_tcp_keepalive(krpc_server_options *options,
                                                  int64_t time_ms,
                                                  int64_t interval_ms,
                                                  uint32_t count,
                                                  krpc_error **error);

/**
 * Sets for how long bytes may stay unacknowledged, or find no room at the peer, before the connection counts
 * as lost, in milliseconds, at least 1. `KRPC_FOREVER`: the system's, about 15 minutes. TCP only. Default
 * 60,000. Keep it above the time and the interval of the probes, or one lost probe ends the connection.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_tcp_user_timeout_ms(krpc_server_options *options,
                                                        int64_t timeout_ms,
                                                        krpc_error **error);

/**
 * Sets for how long a started request may arrive, in milliseconds, at least 1. Default 5000.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_read_timeout_ms(krpc_server_options *options,
                                                    int64_t timeout_ms,
                                                    krpc_error **error);

/**
 * Sets for how long a client may take no byte of its reply, in milliseconds, at least 1. Default 5000.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_write_timeout_ms(krpc_server_options *options,
                                                     int64_t timeout_ms,
                                                     krpc_error **error);

/**
 * Sets for how long a connection may be idle, in milliseconds, at least 1. Default 600,000.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_idle_timeout_ms(krpc_server_options *options,
                                                    int64_t timeout_ms,
                                                    krpc_error **error);

/**
 * Frees a builder that was not consumed. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_server_options_free(krpc_server_options *options);

/* ---- krpc_service: a named set of methods with their handlers ---------------------------- */

/**
 * A service without methods.
 *
 * `name`: as in the IDL, without namespace; UTF-8, copied. Returns an owned service, or NULL and an
 * error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_service *krpc_service_new(krpc_str name, krpc_error **error);

/**
 * A service of an IDL, without handlers. Its methods are those of the IDL, inherited ones too, and are
 * oneway if the IDL says so; its requests have shapes, and can be read and answered in JSON.
 *
 * `idl`: what is needed of it is kept. `name`: empty for the main service; UTF-8, borrowed for the call.
 * Returns an owned service, or NULL and an error, which says what name may have been meant.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_service *krpc_service_from_idl(const krpc_idl *idl,
                                    krpc_str name,
                                    krpc_error **error);

/**
 * Adds a method. A name can be added once; a service of an IDL takes the IDL's methods only.
 *
 * `name`: as in the IDL; UTF-8, copied. `flags`: 0, or `KRPC_METHOD_FLAG_ONEWAY` and
 * `KRPC_METHOD_FLAG_INLINE` in any combination. `handler`: called for each request with `user_data`.
 * `destroy` (optional): called once with `user_data` after the last call of the handler has returned,
 * also if this function fails.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED for a streaming method of an IDL.
 * Since: 0.1.
 */
krpc_status krpc_service_add_method(krpc_service *service,
                                    krpc_str name,
                                    uint32_t flags,
                                    krpc_handler_fn handler,
                                    void *user_data,
                                    krpc_destroy_fn destroy,
                                    krpc_error **error);

/**
 * Adds all methods of the IDL that were not added yet, except those that stream, with one handler; ask the
 * request for its method. For a service made by `krpc_service_from_idl`.
 *
 * `flags`: 0 or `KRPC_METHOD_FLAG_INLINE`. `handler`, `user_data`, `destroy`: as in
 * `krpc_service_add_method`; `destroy` is called once for all methods.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE if the service has no IDL. Since: 0.1.
 */
krpc_status krpc_service_add_other_methods(krpc_service *service,
                                           uint32_t flags,
                                           krpc_handler_fn handler,
                                           void *user_data,
                                           krpc_destroy_fn destroy,
                                           krpc_error **error);

/**
 * The same with a queue instead of a handler, as `krpc_service_add_queued_method`.
 *
 * `queue`: kept alive by the service. `tag`: the host's word for the methods, in their events.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE if the service has no IDL. Since: 0.1.
 */
krpc_status krpc_service_add_other_queued_methods(krpc_service *service,
                                                  const krpc_queue *queue,
                                                  uint64_t tag,
                                                  krpc_error **error);

/**
 * Adds a method whose requests go to a queue, as `KRPC_EVENT_KIND_REQUEST`. What finds no room there is
 * answered "request over limit".
 *
 * `name`: as in the IDL; UTF-8, copied. `flags`: 0 or `KRPC_METHOD_FLAG_ONEWAY`. `queue`: kept alive by
 * the service. `tag`: the host's word for the method, in its events.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED for a streaming method of an IDL.
 * Since: 0.1.
 */
krpc_status krpc_service_add_queued_method(krpc_service *service,
                                           krpc_str name,
                                           uint32_t flags,
                                           const krpc_queue *queue,
                                           uint64_t tag,
                                           krpc_error **error);

/**
 * Gives handlers worker threads of their own: however long they take, they keep no others from running. Without
 * it all share the runtime's.
 *
 * `method`: one that was added already, or empty for all methods of the service that have no threads of their
 * own, also those that are added later; inline and queued ones use none. UTF-8, borrowed for the call.
 * `threads`: 1 to 1024, started when they are needed. `max_in_flight`: requests that are being handled or wait
 * for a thread; more are answered "request over limit", 0: 1000. A later call replaces an earlier one.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_service_set_workers(krpc_service *service,
                                     krpc_str method,
                                     size_t threads,
                                     size_t max_in_flight,
                                     krpc_error **error);

/**
 * Frees a service that was not consumed, which calls the destroy functions of its methods. NULL is
 * fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_service_free(krpc_service *service);

/* ---- krpc_shape: what a message has to look like, by an IDL ------------------------------ */

/**
 * Number of fields. 0 if the value is no struct (a method's only argument may be text), or if `shape` is
 * NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
size_t krpc_shape_field_count(const krpc_shape *shape);

/**
 * What the IDL says of a field, 0 ≤ `index` < `krpc_shape_field_count`, in the order written.
 *
 * `info`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_shape_field_at(const krpc_shape *shape,
                                size_t index,
                                krpc_field_info *info);

/**
 * Frees a shape that you own. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_shape_free(krpc_shape *shape);

/* ---- The status numbers of C, one for each row of the core's error table ----------------- */

/**
 * The status's name without prefix, e.g. "TIMEOUT"; "OK" for 0, "UNKNOWN" for a number that this
 * version does not know. Static; never freed.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_status_name(int32_t status);

/**
 * One sentence that explains the status. Static; never freed.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_status_text(int32_t status);

/**
 * Whether a call that ended with this status may be sent again without risk of running twice.
 *
 * Thread: any thread. Errors: none; unknown numbers are false. Since: 0.1.
 */
bool krpc_status_retryable(int32_t status);

/* ---- krpc_stream: messages in one or both directions under one method, the same handle at both ends  */

/**
 * Opens a stream and waits until a connection has it. That the server knows the method shows only with its
 * first answer; the mode, which both ends must know, is not on the wire.
 *
 * `method`: from `krpc_client_method`, two-way. `options`: NULL for the defaults; what is needed of them is
 * copied. `stream`: receives an owned stream, NULL on a failure. It may outlive client and method.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: INVALID_ARGUMENT, CLOSED, TIMEOUT, CANCELLED, any of 2xx and 3xx, WOULD_DEADLOCK. Since: 0.1.
 */
krpc_status krpc_client_open_stream(const krpc_client *client,
                                    const krpc_method *method,
                                    const krpc_stream_options *options,
                                    krpc_stream **stream,
                                    krpc_error **error);

/**
 * Starts the same. The reply has the stream, for `krpc_reply_take_stream`.
 *
 * `method`, `options`: as in `krpc_client_open_stream`. `completion`: as in `krpc_client_start`; in a queue its end
 * is a `KRPC_EVENT_KIND_STREAM_CALL`. `op` (optional): receives an owned operation.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL, OUT_OF_RESOURCES. Since: 0.1.
 */
krpc_status krpc_client_start_open_stream(const krpc_client *client,
                                          const krpc_method *method,
                                          const krpc_stream_options *options,
                                          const krpc_completion *completion,
                                          krpc_op **op,
                                          krpc_error **error);

/**
 * Ends the stream in both directions: the peer is told the reason, what waits to be sent is dropped, what has
 * arrived can still be received. Sends and receives that wait end at once, as does the stream's context. Does
 * nothing once the stream is over.
 *
 * `reason`: for the peer, copied; may be empty.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_stream_cancel(const krpc_stream *stream,
                               krpc_str reason);

/**
 * The same with a number of the host's own in place of 12007; see `krpc_error_stream_reason`.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_stream_cancel_with_code(const krpc_stream *stream,
                                         int32_t code,
                                         krpc_str reason);

/**
 * Whether the stream is over in both directions. What has arrived can still be received.
 *
 * Thread: any thread. Errors: none; false if `stream` is NULL. Since: 0.1.
 */
bool krpc_stream_is_over(const krpc_stream *stream);

/**
 * How the stream ended: OK if the peer has said everything, and while it is not over.
 *
 * Thread: any thread. Errors: none; INVALID_ARGUMENT if `stream` is NULL. Since: 0.1.
 */
krpc_status krpc_stream_status(const krpc_stream *stream);

/**
 * Why the stream ended, owned by the caller; NULL if the peer has said everything, and while it is not over.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_error *krpc_stream_error(const krpc_stream *stream);

/**
 * Whether it is a server's end.
 *
 * Thread: any thread. Errors: none; false if `stream` is NULL. Since: 0.1.
 */
bool krpc_stream_is_server(const krpc_stream *stream);

/**
 * The method's name. Borrowed from `stream`; empty if that is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_stream_method(const krpc_stream *stream);

/**
 * The service's name: at a server of the one that took the stream, at a client as in its method, which may be
 * empty. Borrowed from `stream`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_stream_service(const krpc_stream *stream);

/**
 * The peer's address, e.g. "127.0.0.1:8888". Borrowed from `stream`; empty if that is NULL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_stream_peer(const krpc_stream *stream);

/**
 * The stream's context, owned by the caller; NULL if `stream` is. It ends with the stream, and says so to the
 * calls and streams that were made in it, with cause and path. At a client its end cancels the stream. A
 * server's has the pairs that came with the opening, and knows when the server is being stopped
 * (`krpc_context_is_stopping`). It may outlive the stream.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_context *krpc_stream_context(const krpc_stream *stream);

/**
 * Server: the pairs that came with the opening, of kinds UPSTREAM and PERSISTENT; a client's are empty. NULL
 * only if `stream` is. Borrowed from `stream`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_metainfo *krpc_stream_metainfo(const krpc_stream *stream);

/**
 * Server: the one message of a client whose method streams only the answers
 * (`KRPC_STREAMING_SERVER`); NULL for other methods, and at a client. Borrowed from `stream`; keep it longer
 * with `krpc_message_retain`.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_message *krpc_stream_request(const krpc_stream *stream);

/**
 * Reads the counters of a stream.
 *
 * `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_stream_read_stats(const krpc_stream *stream,
                                   krpc_stream_stats *stats);

/**
 * Frees a stream. NULL is fine. A client's that is not over is cancelled; a server's that was not finished
 * tells the client "handler gave no answer". Operations on it that are under way end as CLOSED, and what it
 * has delivered into a queue is skipped there. A blocking function that another thread is in goes on: cancel
 * first.
 *
 * Thread: any thread, once; not while a function on another thread is about to start. Errors: none.
 * Since: 0.1.
 */
void krpc_stream_free(krpc_stream *stream);

/* ---- krpc_stream_counters: messages and bytes of streams, by method ---------------------- */

/**
 * Methods whose streams were counted. 0 without an observer (`krpc_client_options_set_stream_observer`). It only
 * grows.
 *
 * Thread: any thread. Errors: none; 0 if `client` is NULL. Since: 0.1.
 */
size_t krpc_client_stream_method_count(const krpc_client *client);

/**
 * Reads the counters of a method, 0 ≤ `index` < `krpc_client_stream_method_count`, in the order in which the
 * methods were met.
 *
 * `counters`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_stream_counters(const krpc_client *client,
                                        size_t index,
                                        krpc_stream_counters *counters);

/**
 * Events that found no room in their observer's queue. 0 without an observer.
 *
 * Thread: any thread. Errors: none; 0 if `client` is NULL. Since: 0.1.
 */
uint64_t krpc_client_dropped_stream_events(const krpc_client *client);

/**
 * Methods whose streams were counted, as `krpc_client_stream_method_count`.
 *
 * Thread: any thread. Errors: none; 0 if `server` is NULL. Since: 0.1.
 */
size_t krpc_server_stream_method_count(const krpc_server *server);

/**
 * Reads the counters of a method, as `krpc_client_stream_counters`.
 *
 * `counters`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_stream_counters(const krpc_server *server,
                                        size_t index,
                                        krpc_stream_counters *counters);

/**
 * Events that found no room in their observer's queue. 0 without an observer.
 *
 * Thread: any thread. Errors: none; 0 if `server` is NULL. Since: 0.1.
 */
uint64_t krpc_server_dropped_stream_events(const krpc_server *server);

/* ---- krpc_stream_event: what has happened on a stream, for whoever watches --------------- */

/**
 * Watches the client's streams: events, and counters for each method, see `krpc_client_stream_counters`. Replaces
 * the one set before.
 *
 * `observer`: copied; its queue is kept alive.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED; `destroy` has run then. Since: 0.1.
 */
krpc_status krpc_client_options_set_stream_observer(krpc_client_options *options,
                                                    const krpc_stream_observer *observer,
                                                    krpc_error **error);

/**
 * Watches the server's streams, as `krpc_client_options_set_stream_observer`. Streams that it refuses, because it
 * does not have their method or takes no more, are no events.
 *
 * `observer`: copied; its queue is kept alive.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED; `destroy` has run then. Since: 0.1.
 */
krpc_status krpc_server_options_set_stream_observer(krpc_server_options *options,
                                                    const krpc_stream_observer *observer,
                                                    krpc_error **error);

/**
 * Reads a record.
 *
 * `event`: its `struct_size` must be set; the fields that it has room for are filled in. Its texts and pointers are
 * borrowed from `record`.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_stream_record_read(const krpc_stream_record *record,
                                    krpc_stream_event *event);

/**
 * Frees a record. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_stream_record_free(krpc_stream_record *record);

/* ---- How a server ends a krpc_stream: once, after which nothing can be sent -------------- */

/**
 * Server: ends the stream well. What was sent before still reaches the client, then the trailer and the end.
 * The stream's context ends; the handle stays to be freed.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT; INVALID_STATE if it was finished before, and at a client.
 * Since: 0.1.
 */
krpc_status krpc_stream_finish(const krpc_stream *stream,
                               krpc_error **error);

/**
 * Server: ends the stream with a business status: the RPC worked, the business said no. The client receives
 * what was sent before, then `KRPC_STATUS_BIZ_STATUS`.
 *
 * `code`: not 0. `message`: text for people, may be empty, copied. `extra`: NULL, or pairs to go with it; those
 * of kind BACKWARD are taken, and copied.
 *
 * Thread: any thread. Errors: as of `krpc_stream_finish`. Since: 0.1.
 */
krpc_status krpc_stream_finish_biz(const krpc_stream *stream,
                                   int32_t code,
                                   krpc_str message,
                                   const krpc_metainfo *extra,
                                   krpc_error **error);

/**
 * Server: ends the stream with an application exception. The client receives what was sent before, then
 * `KRPC_STATUS_REMOTE_EXCEPTION` with this type and text, unchanged.
 *
 * `type_id`: 6 for an internal error, or a number of your own above 21. `text`: for the client, copied; a Kitex
 * handler's begins with "biz error: ".
 *
 * Thread: any thread. Errors: as of `krpc_stream_finish`. Since: 0.1.
 */
krpc_status krpc_stream_fail(const krpc_stream *stream,
                             int32_t type_id,
                             krpc_str text,
                             krpc_error **error);

/**
 * Server: starts to wait for the server's stop, so that a handler need not ask `krpc_context_is_stopping`. It ends
 * with status OK when the server is being stopped: the handler should come to its end, and may still send and
 * finish within the grace. It ends as CLOSED if the stream is over before, or freed.
 *
 * `completion`: as in `krpc_client_start`; in a queue its end is a `KRPC_EVENT_KIND_STREAM_CALL`. `op` (optional):
 * receives an owned operation. Cancelling it changes nothing else. The reply's errors: CLOSED; CANCELLED;
 * INVALID_STATE while another such wait is pending, and at a client.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
 */
krpc_status krpc_stream_start_stopping(const krpc_stream *stream,
                                       const krpc_completion *completion,
                                       krpc_op **op,
                                       krpc_error **error);

/* ---- Header and trailer of a krpc_stream: pairs before the first message and at the end -- */

/**
 * The pairs of the peer's header. A client waits for it; it comes before the first message, or with the end if
 * the server sent none. A server has that of the opening. The same every time.
 *
 * Returns pairs owned by the caller, all of kind `KRPC_METAINFO_KIND_BACKWARD`, none where the server sent no header; or NULL
 * and an error.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: INVALID_ARGUMENT, WOULD_DEADLOCK; what the stream failed with before the header came. Since: 0.1.
 */
krpc_metainfo *krpc_stream_header(const krpc_stream *stream,
                                  krpc_error **error);

/**
 * Waits for the end of the stream, and gives the pairs of the peer's trailer. The same every time.
 *
 * Returns pairs owned by the caller, all of kind `KRPC_METAINFO_KIND_BACKWARD`, those of a business status included; or NULL
 * and an error.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: INVALID_ARGUMENT, WOULD_DEADLOCK; what the stream ended with if there was no trailer. Since: 0.1.
 */
krpc_metainfo *krpc_stream_trailer(const krpc_stream *stream,
                                   krpc_error **error);

/**
 * Starts to wait for the header. The reply has its pairs, see `krpc_reply_metainfo`.
 *
 * `completion`: as in `krpc_client_start`. `op` (optional): receives an owned operation.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
 */
krpc_status krpc_stream_start_header(const krpc_stream *stream,
                                     const krpc_completion *completion,
                                     krpc_op **op,
                                     krpc_error **error);

/**
 * Starts to wait for the trailer. The reply has its pairs, see `krpc_reply_metainfo`.
 *
 * `completion`: as in `krpc_client_start`. `op` (optional): receives an owned operation.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
 */
krpc_status krpc_stream_start_trailer(const krpc_stream *stream,
                                      const krpc_completion *completion,
                                      krpc_op **op,
                                      krpc_error **error);

/**
 * Server: adds pairs to the header, which leaves before the first message or the end. A key that is there
 * already gets the new value.
 *
 * `pairs`: those of kind BACKWARD are taken, and copied.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, also for more than a frame holds; INVALID_STATE once the header
 * has left, and at a client. Since: 0.1.
 */
krpc_status krpc_stream_set_header(const krpc_stream *stream,
                                   const krpc_metainfo *pairs,
                                   krpc_error **error);

/**
 * Server: sends the header now, with these pairs too.
 *
 * `pairs`: NULL, or as in `krpc_stream_set_header`.
 *
 * Thread: any thread. Errors: as of `krpc_stream_set_header`. Since: 0.1.
 */
krpc_status krpc_stream_send_header(const krpc_stream *stream,
                                    const krpc_metainfo *pairs,
                                    krpc_error **error);

/**
 * Server: adds pairs to the trailer, which leaves at the end. A key that is there already gets the new value.
 *
 * `pairs`: those of kind BACKWARD are taken, and copied.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, also for keys of business statuses ("biz-...") and for more
 * than a frame holds; INVALID_STATE once the stream was finished, and at a client. Since: 0.1.
 */
krpc_status krpc_stream_set_trailer(const krpc_stream *stream,
                                    const krpc_metainfo *pairs,
                                    krpc_error **error);

/* ---- krpc_stream_hook: one question to an interceptor of streams ------------------------- */

/**
 * The service's name; at a client as in its method, which may be empty. Borrowed from `hook`.
 *
 * Thread: callback only. Errors: none. Since: 0.1.
 */
krpc_str krpc_stream_hook_service(const krpc_stream_hook *hook);

/**
 * The method's name. Borrowed from `hook`.
 *
 * Thread: callback only. Errors: none. Since: 0.1.
 */
krpc_str krpc_stream_hook_method(const krpc_stream_hook *hook);

/**
 * The peer's address; empty at a client's opening, which has none yet. Borrowed from `hook`.
 *
 * Thread: callback only. Errors: none. Since: 0.1.
 */
krpc_str krpc_stream_hook_peer(const krpc_stream_hook *hook);

/**
 * Which stream: a number that no other of this process has, the one in its events.
 *
 * Thread: callback only. Errors: none; 0 if `hook` is NULL. Since: 0.1.
 */
uint64_t krpc_stream_hook_stream(const krpc_stream_hook *hook);

/**
 * Whether it is a server's end.
 *
 * Thread: callback only. Errors: none; false if `hook` is NULL. Since: 0.1.
 */
bool krpc_stream_hook_is_server(const krpc_stream_hook *hook);

/**
 * What the interceptor keeps for this stream, NULL until it was set. It stays owned by the caller, who gave it; the
 * library never looks behind it.
 *
 * Thread: callback only. Errors: none; NULL if `hook` is. Since: 0.1.
 */
void *krpc_stream_hook_state(const krpc_stream_hook *hook);

/**
 * Keeps something for this stream, for this interceptor's later calls. Give it back in `end`, which comes once for
 * each stream that `open` has let pass.
 *
 * `state`: lent until `end` has returned.
 *
 * Thread: callback only. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_stream_hook_set_state(const krpc_stream_hook *hook,
                                       void *state);

/**
 * SEND and RECV: the message on its way. META: what the frame carries, as `KRPC_ENCODING_RAW`. Else NULL. Borrowed
 * from `hook`; keep it longer with `krpc_message_retain`.
 *
 * Thread: callback only. Errors: none. Since: 0.1.
 */
const krpc_message *krpc_stream_hook_message(const krpc_stream_hook *hook);

/**
 * OPEN: the pairs that leave with a client's opening, those that came with a server's. META: the frame's pairs.
 * FINISH: those of the trailer so far. Else empty; NULL only if `hook` is. Borrowed from `hook`.
 *
 * Thread: callback only. Errors: none. Since: 0.1.
 */
const krpc_metainfo *krpc_stream_hook_metainfo(const krpc_stream_hook *hook);

/**
 * FINISH: what the client is about to see, NULL if the handler has ended well. END: why the stream has ended, NULL
 * if all was well. Else NULL. Borrowed from `hook`.
 *
 * Thread: callback only. Errors: none. Since: 0.1.
 */
const krpc_error *krpc_stream_hook_error(const krpc_stream_hook *hook);

/**
 * SEND and RECV: lets another message take the place of the one on its way. The last one counts.
 *
 * `message`: borrowed for the call; its bytes are shared.
 *
 * Thread: callback only. Errors: INVALID_ARGUMENT; INVALID_STATE where no message is on its way. Since: 0.1.
 */
krpc_status krpc_stream_hook_replace(const krpc_stream_hook *hook,
                                     const krpc_message *message,
                                     krpc_error **error);

/**
 * Adds a pair. OPEN at a client: TRANSIENT or PERSISTENT, which leaves with the opening. OPEN at a server:
 * BACKWARD, for its header. FINISH: BACKWARD, for the trailer. Pairs that fit into no frame end the stream.
 *
 * `kind`: a `krpc_metainfo_kind`. `key`: not empty. `value`: may be empty. Both are copied.
 *
 * Thread: callback only. Errors: INVALID_ARGUMENT; INVALID_STATE where no pairs leave. Since: 0.1.
 */
krpc_status krpc_stream_hook_set_metainfo(const krpc_stream_hook *hook,
                                          int32_t kind,
                                          krpc_str key,
                                          krpc_str value,
                                          krpc_error **error);

/**
 * Ends the stream; of a META frame too. What was asked fails as CANCELLED, as does everything that is asked of the
 * stream afterwards. The peer is told: a server by a cancel with this number, a client by an exception of this
 * type. At FINISH only what the client sees changes.
 *
 * `code`: 0 for 12007 at a client, 6 at a server; `krpc_error_stream_reason` shows it. `text`: for the peer,
 * copied.
 *
 * Thread: callback only. Errors: INVALID_ARGUMENT; INVALID_STATE at END. Since: 0.1.
 */
krpc_status krpc_stream_hook_reject(const krpc_stream_hook *hook,
                                    int32_t code,
                                    krpc_str text,
                                    krpc_error **error);

/* ---- krpc_stream_interceptor: functions of the host's that stand around streams ---------- */

/**
 * Adds an interceptor of the client's streams, inside those that were added before.
 *
 * `interceptor`: copied.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED; `destroy` has run then. Since: 0.1.
 */
krpc_status krpc_client_options_add_stream_interceptor(krpc_client_options *options,
                                                       const krpc_stream_interceptor *interceptor,
                                                       krpc_error **error);

/**
 * Adds an interceptor of the server's streams, inside those that were added before and around those of its
 * services. Streams that the access check or a limit refuses don't come to it.
 *
 * `interceptor`: copied.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED; `destroy` has run then. Since: 0.1.
 */
krpc_status krpc_server_options_add_stream_interceptor(krpc_server_options *options,
                                                       const krpc_stream_interceptor *interceptor,
                                                       krpc_error **error);

/**
 * Adds an interceptor of the service's streams, inside those that were added before and those of the server.
 *
 * `interceptor`: copied.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, UNSUPPORTED; `destroy` has run then. Since: 0.1.
 */
krpc_status krpc_service_add_stream_interceptor(krpc_service *service,
                                                const krpc_stream_interceptor *interceptor,
                                                krpc_error **error);

/* ---- What an IDL says of a krpc_stream, and its messages as JSON ------------------------- */

/**
 * How many messages the stream's method takes and gives, as its IDL says: a `krpc_streaming`. `KRPC_STREAMING_NONE`
 * if its method or service was not made from an IDL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_streaming krpc_stream_mode(const krpc_stream *stream);

/**
 * The shape of messages to send, for `krpc_message_from_json` and `krpc_writer_new_typed`. Borrowed from `stream`;
 * NULL if its method or service was not made from an IDL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_shape *krpc_stream_send_shape(const krpc_stream *stream);

/**
 * The shape of messages that are received, and of `krpc_stream_request`, for `krpc_message_to_json` and
 * `krpc_reader_new_typed`. Borrowed from `stream`; NULL if its method or service was not made from an IDL.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
const krpc_shape *krpc_stream_recv_shape(const krpc_stream *stream);

/**
 * Sends a message that is made from JSON, as `krpc_stream_send`. JSON that does not fit sends nothing, and leaves the
 * stream as it is.
 *
 * `json`: UTF-8, borrowed for the call. `options`: NULL for the defaults.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: as of `krpc_message_from_json` and `krpc_stream_send`; INVALID_STATE without an IDL. Since: 0.1.
 */
krpc_status krpc_stream_send_json(const krpc_stream *stream,
                                  krpc_str json,
                                  const krpc_json_options *options,
                                  krpc_error **error);

/**
 * Waits for the next message and writes it as JSON, as `krpc_stream_recv`. A message that does not fit the IDL is
 * gone, but the stream goes on.
 *
 * `options`: NULL for the defaults. `json`: receives an owned message in `KRPC_ENCODING_JSON`, of one segment; NULL
 * with status OK when the peer has said everything.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: as of `krpc_stream_recv`; 8xx for a message that does not fit; INVALID_STATE without an IDL. Since: 0.1.
 */
krpc_status krpc_stream_recv_json(const krpc_stream *stream,
                                  const krpc_json_options *options,
                                  krpc_message **json,
                                  krpc_error **error);

/* ---- krpc_stream_limits: budgets of streams and of the connections that they share, for both builders  */

/**
 * Sets the budgets of a client's streams. Some hundred KiB per stream and direction come on top, which the library
 * uses to work ahead.
 *
 * `limits`: copied; NULL for the defaults.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_stream_limits(krpc_client_options *options,
                                                  const krpc_stream_limits *limits,
                                                  krpc_error **error);

/**
 * Sets the budgets of a server's streams, as `krpc_client_options_set_stream_limits`.
 *
 * `limits`: copied; NULL for the defaults.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_stream_limits(krpc_server_options *options,
                                                  const krpc_stream_limits *limits,
                                                  krpc_error **error);

/**
 * Sets how many connections to each address the client's streams share; more are made while these are saturated.
 *
 * `connections`: 0 to 256. Default 1; 0 gives each stream a connection of its own while it lasts.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_options_set_stream_connections(krpc_client_options *options,
                                                       size_t connections,
                                                       krpc_error **error);

/* ---- Receiving on a krpc_stream: one by one, many at once, or by credit into a queue ----- */

/**
 * Waits for the next message. What has arrived comes before the end, and the end stays: every later recv gives
 * it again.
 *
 * `message`: receives an owned message, a bare struct; NULL with status OK when the peer has said everything.
 * Nothing else looks like that: a cancel, a timeout, a lost connection or a failed handler are errors.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: INVALID_ARGUMENT; INVALID_STATE while another recv waits or the stream delivers into a queue;
 * WOULD_DEADLOCK; RECV_TIMEOUT; any of 2xx to 6xx, which is the end of the stream. Since: 0.1.
 */
krpc_status krpc_stream_recv(const krpc_stream *stream,
                             krpc_message **message,
                             krpc_error **error);

/**
 * Waits for a message, then takes all that are there.
 *
 * `messages`: receives up to `capacity` owned messages, at least 1. `count`: receives how many came; 0 with
 * status OK when the peer has said everything.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: as of `krpc_stream_recv`. Since: 0.1.
 */
krpc_status krpc_stream_recv_many(const krpc_stream *stream,
                                  krpc_message **messages,
                                  size_t capacity,
                                  size_t *count,
                                  krpc_error **error);

/**
 * Starts a recv. Cancelled (`krpc_op_cancel`, `krpc_op_free`), it leaves its message to the next one and the
 * stream as it is.
 *
 * `completion`: as in `krpc_client_start`; in a queue its end is a `KRPC_EVENT_KIND_STREAM_CALL`. `op` (optional):
 * receives an owned operation. The reply's message is NULL with status OK when the peer has said everything; its
 * errors are those of `krpc_stream_recv`.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
 */
krpc_status krpc_stream_start_recv(const krpc_stream *stream,
                                   const krpc_completion *completion,
                                   krpc_op **op,
                                   krpc_error **error);

/**
 * Starts a recv of many: waits for a message, then takes all that are there, for one completion. Cancelled
 * (`krpc_op_cancel`, `krpc_op_free`), it leaves its messages to the next one and the stream as it is.
 *
 * `capacity`: messages at most, at least 1. `completion`: as in `krpc_client_start`; in a queue its end is a
 * `KRPC_EVENT_KIND_STREAM_CALL`. `op` (optional): receives an owned operation. The reply has the messages, see
 * `krpc_reply_message_count`: none with status OK when the peer has said everything. Its errors are those of
 * `krpc_stream_recv`.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
 */
krpc_status krpc_stream_start_recv_many(const krpc_stream *stream,
                                        size_t capacity,
                                        const krpc_completion *completion,
                                        krpc_op **op,
                                        krpc_error **error);

/**
 * Limits how long each recv waits while nothing has arrived, from now on, at either end; also the recv of a stream
 * that delivers. A recv that waits keeps its own limit. A server's stream has none at first, a client's that of its
 * options.
 *
 * `timeout_ms`: milliseconds; 0 or `KRPC_FOREVER`: none. `flags`: 0 or `KRPC_STREAM_FLAG_KEEP_ON_RECV_TIMEOUT`,
 * which leaves the stream as it is; without it a timeout ends the stream, and the peer is told (12014).
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_stream_set_recv_timeout_ms(const krpc_stream *stream,
                                            int64_t timeout_ms,
                                            uint32_t flags,
                                            krpc_error **error);

/**
 * Lets the next `credit` messages go into a queue by themselves, as `KRPC_EVENT_KIND_STREAM_MESSAGE`, in order
 * and numbered, and after them the end, as `KRPC_EVENT_KIND_STREAM_END`. Calling it again with the same queue
 * and tag adds credit; while there is none, messages wait in the stream's budget and hold the peer back. No
 * other recv is possible.
 *
 * `queue`: kept alive by the stream; places for `credit` messages and, the first time, for the end are reserved.
 * `tag`: the host's word for the stream, in its events. `credit`: may be 0, for the end only.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT; INVALID_STATE if it delivers elsewhere; QUEUE_FULL and CLOSED
 * of the queue, and then nothing has happened. Since: 0.1.
 */
krpc_status krpc_stream_deliver(const krpc_stream *stream,
                                const krpc_queue *queue,
                                uint64_t tag,
                                size_t credit,
                                krpc_error **error);

/* ---- Sending on a krpc_stream ------------------------------------------------------------ */

/**
 * Sends a message, and waits until the stream's budget has room for it: at once, unless the peer reads slowly.
 * That it was sent does not mean that it has arrived.
 *
 * `message`: a bare struct, borrowed for the call; its bytes are shared.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: INVALID_ARGUMENT; INVALID_STATE while another send waits, and after `krpc_stream_close_send` or
 * `krpc_stream_finish`; FRAME_TOO_LARGE; WOULD_DEADLOCK; once the stream has failed what it failed with.
 * Since: 0.1.
 */
krpc_status krpc_stream_send(const krpc_stream *stream,
                             const krpc_message *message,
                             krpc_error **error);

/**
 * Sends messages in their order, waiting for room as often as it takes. On an error an unknown number of them
 * was sent.
 *
 * `messages`: `count` of them, borrowed for the call.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: as of `krpc_stream_send`. Since: 0.1.
 */
krpc_status krpc_stream_send_many(const krpc_stream *stream,
                                  const krpc_message *const *messages,
                                  size_t count,
                                  krpc_error **error);

/**
 * Sends as many of the messages as there is room for now, in their order, without waiting.
 *
 * `messages`: `count` of them, borrowed for the call. `sent` (optional): receives how many were sent, from the
 * first; 0 on an error.
 *
 * Thread: any thread. Errors: as of `krpc_stream_send`, but not WOULD_DEADLOCK. Since: 0.1.
 */
krpc_status krpc_stream_try_send_many(const krpc_stream *stream,
                                      const krpc_message *const *messages,
                                      size_t count,
                                      size_t *sent,
                                      krpc_error **error);

/**
 * Starts a send, which ends when the message is within the stream's budget. Cancelled before that, nothing of
 * it leaves.
 *
 * `message`: as in `krpc_stream_send`; retained. `completion`: as in `krpc_client_start`; in a queue its end is a
 * `KRPC_EVENT_KIND_STREAM_CALL`. `op` (optional): receives an owned operation. The reply has no message; its errors
 * are those of `krpc_stream_send`.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
 */
krpc_status krpc_stream_start_send(const krpc_stream *stream,
                                   const krpc_message *message,
                                   const krpc_completion *completion,
                                   krpc_op **op,
                                   krpc_error **error);

/**
 * Client: nothing more will be sent; receiving goes on. Does nothing the second time, or once the stream is
 * over. A server ends with `krpc_stream_finish` instead.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT; INVALID_STATE while a send waits, and at a server. Since: 0.1.
 */
krpc_status krpc_stream_close_send(const krpc_stream *stream,
                                   krpc_error **error);

/**
 * Waits until everything sent so far is with the socket.
 *
 * Thread: any thread that may block; WOULD_DEADLOCK on an I/O thread (inline handlers).
 * Errors: INVALID_ARGUMENT, WOULD_DEADLOCK; once the stream has failed what it failed with. Since: 0.1.
 */
krpc_status krpc_stream_flush(const krpc_stream *stream,
                              krpc_error **error);

/**
 * Starts the same.
 *
 * `completion`: as in `krpc_client_start`. `op` (optional): receives an owned operation.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT, CLOSED, QUEUE_FULL. Since: 0.1.
 */
krpc_status krpc_stream_start_flush(const krpc_stream *stream,
                                    const krpc_completion *completion,
                                    krpc_op **op,
                                    krpc_error **error);

/* ---- Streaming methods of a krpc_service ------------------------------------------------- */

/**
 * Adds a method that streams. A name can be added once, as a stream or as a call; a service of an IDL takes the
 * IDL's streaming methods only.
 *
 * `name`: as in the IDL; UTF-8, copied. `mode`: `KRPC_STREAMING_CLIENT`, `_SERVER` or `_BIDIRECTIONAL`, as in the
 * IDL. `flags`: 0 or `KRPC_METHOD_FLAG_INLINE`. `handler`: called for each stream with `user_data`; with
 * `KRPC_STREAMING_SERVER` once `krpc_stream_request` is there. `destroy` (optional): called once with `user_data`
 * after the last call of the handler has returned, also if this function fails.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_service_add_stream(krpc_service *service,
                                    krpc_str name,
                                    int32_t mode,
                                    uint32_t flags,
                                    krpc_stream_handler_fn handler,
                                    void *user_data,
                                    krpc_destroy_fn destroy,
                                    krpc_error **error);

/**
 * Adds a method whose streams go to a queue, as `KRPC_EVENT_KIND_STREAM`. What finds no room there ends with
 * "request over limit".
 *
 * `name`, `mode`: as in `krpc_service_add_stream`. `queue`: kept alive by the service. `tag`: the host's word for
 * the method, in its events.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_service_add_queued_stream(krpc_service *service,
                                           krpc_str name,
                                           int32_t mode,
                                           const krpc_queue *queue,
                                           uint64_t tag,
                                           krpc_error **error);

/**
 * Adds all streaming methods of the IDL that were not added yet, with one handler; ask the stream for its method and
 * `krpc_stream_mode`. For a service made by `krpc_service_from_idl`.
 *
 * `flags`, `handler`, `user_data`: as in `krpc_service_add_stream`. `destroy` (optional): called once for all methods.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE if the service has no IDL. Since: 0.1.
 */
krpc_status krpc_service_add_other_streams(krpc_service *service,
                                           uint32_t flags,
                                           krpc_stream_handler_fn handler,
                                           void *user_data,
                                           krpc_destroy_fn destroy,
                                           krpc_error **error);

/**
 * The same with a queue instead of a handler, as `krpc_service_add_queued_stream`.
 *
 * `queue`: kept alive by the service. `tag`: the host's word for the methods, in their events.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE if the service has no IDL. Since: 0.1.
 */
krpc_status krpc_service_add_other_queued_streams(krpc_service *service,
                                                  const krpc_queue *queue,
                                                  uint64_t tag,
                                                  krpc_error **error);

/**
 * Sets the handler of streams that no service takes: unknown services and unknown methods. Without it they are
 * answered as such. Nothing is known about their mode: the handler gets every message, as of a bidirectional stream.
 *
 * `flags`, `handler`, `user_data`, `destroy`: as in `krpc_service_add_stream`.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_stream_catch_all(krpc_server_options *options,
                                                     uint32_t flags,
                                                     krpc_stream_handler_fn handler,
                                                     void *user_data,
                                                     krpc_destroy_fn destroy,
                                                     krpc_error **error);

/**
 * The same with a queue instead of a handler, as `krpc_service_add_queued_stream`.
 *
 * `queue`: kept alive by the server. `tag`: the host's word for the streams, in their events.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_options_set_queued_stream_catch_all(krpc_server_options *options,
                                                            const krpc_queue *queue,
                                                            uint64_t tag,
                                                            krpc_error **error);

/* ---- krpc_client_stream_stats, krpc_server_stream_stats: what connections of streams have seen  */

/**
 * Reads what the connections of a client's streams have seen, over all addresses. Calls are counted apart, see
 * `krpc_client_read_stats`. All 0 before the first stream.
 *
 * `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_client_read_stream_stats(const krpc_client *client,
                                          krpc_client_stream_stats *stats);

/**
 * Reads what the connections of a server's streams have seen. It may still be read after the server has stopped.
 *
 * `stats`: its `struct_size` must be set; the fields that it has room for are filled in.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_status krpc_server_read_stream_stats(const krpc_server *server,
                                          krpc_server_stream_stats *stats);

/* ---- Which library this is --------------------------------------------------------------- */

/**
 * The library's version, e.g. "0.1.0". Static; never freed.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
krpc_str krpc_version(void);

/**
 * The ABI version; compare it with the `KRPC_ABI_VERSION` you were compiled with.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
uint32_t krpc_abi_version(void);

/**
 * Whether this build has a feature, e.g. "ttheader". Unknown names are false.
 *
 * `name`: UTF-8, borrowed for the call.
 *
 * Thread: any thread. Errors: none. Since: 0.1.
 */
bool krpc_has_feature(krpc_str name);

/* ---- krpc_writer: builds a message in Thrift Binary, value by value ---------------------- */

/**
 * A writer whose outermost struct has no fields yet.
 *
 * `encoding`: `KRPC_ENCODING_THRIFT_BINARY`; no other is supported yet.
 * Returns an owned writer, or NULL and an error.
 *
 * Thread: any thread. Errors: UNSUPPORTED. Since: 0.1.
 */
krpc_writer *krpc_writer_new(int32_t encoding, krpc_error **error);

/**
 * A writer for messages of a shape. Fields can be announced by name (`krpc_writer_field_name`). More is
 * checked: each field is in the IDL, has the IDL's type, and is written once; a struct ends with its
 * required fields, a union with one field. Fields that are not optional are written with their default or
 * zero if nothing else is, as in JSON; required ones only if they have a default.
 *
 * A request whose only argument is a struct begins inside of that, a result inside of the returned struct;
 * where the value is no struct, it is due at once. Without arguments or with several, the arguments are the
 * fields. `krpc_writer_finish` ends what was begun here.
 *
 * ```c
 * krpc_writer *w = krpc_writer_new_typed(krpc_method_request_shape(say), NULL);
 * krpc_writer_field_name(w, KRPC_STR("text"));
 * krpc_writer_string(w, KRPC_STR("hi"));
 * krpc_writer_field_name(w, KRPC_STR("marks"));
 * krpc_writer_list(w, 0, 2);                               // elements as in the IDL
 * krpc_writer_i32(w, 7);
 * krpc_writer_i32(w, 8);
 * krpc_message *request = krpc_writer_finish(w, &error);
 * ```
 * Returns an owned writer, or NULL and an error.
 *
 * Thread: any thread. Errors: INVALID_ARGUMENT. Since: 0.1.
 */
krpc_writer *krpc_writer_new_typed(const krpc_shape *shape,
                                   krpc_error **error);

/**
 * Announces a field of the current struct by its name in the IDL; its value, of the type in the IDL, must
 * follow. For writers with a shape.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, and the text says what name may have been meant;
 * INVALID_STATE, UNSUPPORTED for a uuid; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_name(krpc_writer *writer,
                                   krpc_str name);

/**
 * Writes an enum by the name of its value in the IDL. For writers with a shape.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH also for a name that the
 * enum does not have; they stick. Since: 0.1.
 */
krpc_status krpc_writer_enum(krpc_writer *writer,
                             krpc_str name);

/**
 * Announces a field of the current struct; its value must follow.
 *
 * `id`: as in the IDL; ids are not checked for being used twice. `type`: a `krpc_type`.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field(krpc_writer *writer, int16_t id, int32_t type);

/**
 * Writes a bool, as a value.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
 */
krpc_status krpc_writer_bool(krpc_writer *writer,
                             bool value);

/**
 * Writes an i8, as a value.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
 */
krpc_status krpc_writer_i8(krpc_writer *writer,
                           int8_t value);

/**
 * Writes an i16, as a value.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
 */
krpc_status krpc_writer_i16(krpc_writer *writer,
                            int16_t value);

/**
 * Writes an i32, or an enum's number, as a value.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
 */
krpc_status krpc_writer_i32(krpc_writer *writer,
                            int32_t value);

/**
 * Writes an i64, as a value.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
 */
krpc_status krpc_writer_i64(krpc_writer *writer,
                            int64_t value);

/**
 * Writes a double, as a value.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, ENCODE_FAILED; they stick. Since: 0.1.
 */
krpc_status krpc_writer_double(krpc_writer *writer,
                               double value);

/**
 * Writes text, which is copied and not checked for being UTF-8, as a value.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH,
 * ENCODE_FAILED if no frame could carry it; they stick. Since: 0.1.
 */
krpc_status krpc_writer_string(krpc_writer *writer, krpc_str value);

/**
 * Writes bytes, which are copied, as a value.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH,
 * ENCODE_FAILED if no frame could carry it; they stick. Since: 0.1.
 */
krpc_status krpc_writer_binary(krpc_writer *writer, krpc_bytes value);

/**
 * Begins a list as a value: `count` elements of one type must follow.
 *
 * `element_type`: a `krpc_type`; 0 in a writer with a shape: as in the IDL.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH,
 * CODEC_LIMIT, ENCODE_FAILED; they stick. Since: 0.1.
 */
krpc_status krpc_writer_list(krpc_writer *writer, int32_t element_type, size_t count);

/**
 * Begins a set as a value: `count` elements of one type must follow. They are not compared.
 *
 * `element_type`: a `krpc_type`; 0 in a writer with a shape: as in the IDL.
 *
 * Thread: one at a time. Errors: as `krpc_writer_list`; they stick. Since: 0.1.
 */
krpc_status krpc_writer_set(krpc_writer *writer, int32_t element_type, size_t count);

/**
 * Begins a map as a value: `count` pairs must follow, each a key and then its value. Keys are not
 * compared.
 *
 * `key_type` and `value_type`: a `krpc_type` each; 0 in a writer with a shape: as in the IDL.
 *
 * Thread: one at a time. Errors: as `krpc_writer_list`; they stick. Since: 0.1.
 */
krpc_status krpc_writer_map(krpc_writer *writer,
                            int32_t key_type,
                            int32_t value_type,
                            size_t count);

/**
 * Begins a struct as a value: its fields follow, up to `krpc_writer_struct_end`.
 *
 * Thread: one at a time. Errors: INVALID_STATE, TYPE_MISMATCH, CODEC_LIMIT; they stick. Since: 0.1.
 */
krpc_status krpc_writer_struct_begin(krpc_writer *writer);

/**
 * Ends the struct begun last. Not for the outermost struct, which `krpc_writer_finish` ends.
 *
 * Thread: one at a time. Errors: INVALID_STATE, ENCODE_FAILED; they stick. Since: 0.1.
 */
krpc_status krpc_writer_struct_end(krpc_writer *writer);

/**
 * Writes the struct that is in a message as a value, e.g. one that `krpc_reader_struct` gave.
 *
 * `message`: one struct in Thrift Binary, which is checked for being well-formed and copied. A shape does
 * not look into it.
 *
 * Thread: one at a time. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH,
 * UNSUPPORTED for other encodings, MALFORMED, CODEC_LIMIT, ENCODE_FAILED; they stick. Since: 0.1.
 */
krpc_status krpc_writer_struct(krpc_writer *writer,
                               const krpc_message *message);

/**
 * `krpc_writer_field` and `krpc_writer_bool`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_bool(krpc_writer *writer, int16_t id, bool value);

/**
 * `krpc_writer_field` and `krpc_writer_i8`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_i8(krpc_writer *writer, int16_t id, int8_t value);

/**
 * `krpc_writer_field` and `krpc_writer_i16`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_i16(krpc_writer *writer, int16_t id, int16_t value);

/**
 * `krpc_writer_field` and `krpc_writer_i32`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_i32(krpc_writer *writer, int16_t id, int32_t value);

/**
 * `krpc_writer_field` and `krpc_writer_i64`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_i64(krpc_writer *writer, int16_t id, int64_t value);

/**
 * `krpc_writer_field` and `krpc_writer_double`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_double(krpc_writer *writer, int16_t id, double value);

/**
 * `krpc_writer_field` and `krpc_writer_string`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_string(krpc_writer *writer, int16_t id, krpc_str value);

/**
 * `krpc_writer_field` and `krpc_writer_binary`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_binary(krpc_writer *writer,
                                     int16_t id,
                                     krpc_bytes value);

/**
 * `krpc_writer_field` and `krpc_writer_list`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_list(krpc_writer *writer,
                                   int16_t id,
                                   int32_t element_type,
                                   size_t count);

/**
 * `krpc_writer_field` and `krpc_writer_set`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_set(krpc_writer *writer,
                                  int16_t id,
                                  int32_t element_type,
                                  size_t count);

/**
 * `krpc_writer_field` and `krpc_writer_map`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_map(krpc_writer *writer,
                                  int16_t id,
                                  int32_t key_type,
                                  int32_t value_type,
                                  size_t count);

/**
 * `krpc_writer_field` and `krpc_writer_struct_begin`. `krpc_writer_struct_end` ends it.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_struct_begin(krpc_writer *writer, int16_t id);

/**
 * `krpc_writer_field` and `krpc_writer_struct`.
 *
 * Thread: one at a time. Errors: those of both; they stick. Since: 0.1.
 */
krpc_status krpc_writer_field_struct(krpc_writer *writer,
                                     int16_t id,
                                     const krpc_message *message);

/**
 * The status of the first failure; `KRPC_OK` while there is none. INVALID_ARGUMENT if `writer` is NULL.
 *
 * Thread: one at a time. Errors: none. Since: 0.1.
 */
krpc_status krpc_writer_status(const krpc_writer *writer);

/**
 * Ends the outermost struct and makes the message.
 *
 * `writer`: taken. Returns an owned message, or NULL and an error: the first failure of any step, or
 * what is still missing.
 *
 * Thread: one at a time, once. Errors: INVALID_ARGUMENT, INVALID_STATE, TYPE_MISMATCH, CODEC_LIMIT,
 * ENCODE_FAILED; with a shape UNKNOWN_FIELD, MISSING_FIELD. Since: 0.1.
 */
krpc_message *krpc_writer_finish(krpc_writer *writer,
                                 krpc_error **error);

/**
 * Frees a writer whose message is not wanted. NULL is fine.
 *
 * Thread: any thread, once. Errors: none. Since: 0.1.
 */
void krpc_writer_free(krpc_writer *writer);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

/* ---- Helpers ---------------------------------------------------------------------------- */

/** A view of a NUL-terminated string, borrowed from it. NULL gives the empty string. */
static inline krpc_str krpc_cstr(const char *text)
{
    krpc_str view;
    view.ptr = text;
    view.len = text != NULL ? strlen(text) : 0;
    return view;
}

/** A view of `len` bytes at `ptr`, borrowed from there. See `KRPC_BYTES`. */
static inline krpc_bytes krpc_view(const void *ptr, size_t len)
{
    krpc_bytes view;
#ifdef __cplusplus
    view.ptr = static_cast<const uint8_t *>(ptr);
#else
    view.ptr = (const uint8_t *)ptr;
#endif
    view.len = len;
    return view;
}

/** A `krpc_bytes` of `len` bytes at `ptr`, which points to any type. Nothing is copied. */
#define KRPC_BYTES(ptr, len) krpc_view((ptr), (len))

/** A `krpc_str` of a string literal, without its NUL. For other strings: `krpc_cstr`. */
#ifdef __cplusplus
#define KRPC_STR(literal) (krpc_str{"" literal, sizeof("" literal) - 1})
#else
#define KRPC_STR(literal) ((krpc_str){"" literal, sizeof("" literal) - 1})
#endif

/** Initialiser of a `krpc_call_options`: its size, and the default in every field. */
#define KRPC_CALL_OPTIONS_INIT {sizeof(krpc_call_options), 0, NULL, NULL, NULL}

/** Initialiser of a `krpc_client_stats`: its size, and the default in every field. */
#define KRPC_CLIENT_STATS_INIT {sizeof(krpc_client_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Initialiser of a `krpc_completion`: its size, and the default in every field. */
#define KRPC_COMPLETION_INIT {sizeof(krpc_completion), NULL, NULL, NULL, NULL, 0, 0, 0}

/** Initialiser of a `krpc_json_options`: its size, and the default in every field. */
#define KRPC_JSON_OPTIONS_INIT {sizeof(krpc_json_options), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Initialiser of a `krpc_method_info`: its size, and the default in every field. */
#define KRPC_METHOD_INFO_INIT {sizeof(krpc_method_info), {NULL, 0}, {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 0, 0, 0}

/** Initialiser of a `krpc_queue_stats`: its size, and the default in every field. */
#define KRPC_QUEUE_STATS_INIT {sizeof(krpc_queue_stats), 0, 0, 0, 0, 0, 0}

/** Initialiser of a `krpc_facts`: its size, and the default in every field. */
#define KRPC_FACTS_INIT {sizeof(krpc_facts), 0, 0, 0, 0, 0}

/** Initialiser of a `krpc_attempt`: its size, and the default in every field. */
#define KRPC_ATTEMPT_INIT {sizeof(krpc_attempt), {NULL, 0}, 0, 0, 0, 0}

/** Initialiser of a `krpc_peer_credentials`: its size, and the default in every field. */
#define KRPC_PEER_CREDENTIALS_INIT {sizeof(krpc_peer_credentials), 0, 0, 0}

/** Initialiser of a `krpc_runtime_options`: its size, and the default in every field. */
#define KRPC_RUNTIME_OPTIONS_INIT {sizeof(krpc_runtime_options), 0, 0}

/** Initialiser of a `krpc_server_stats`: its size, and the default in every field. */
#define KRPC_SERVER_STATS_INIT {sizeof(krpc_server_stats), 0, 0, 0, 0, 0}

/** Initialiser of a `krpc_stopped`: its size, and the default in every field. */
#define KRPC_STOPPED_INIT {sizeof(krpc_stopped), 0, 0}

/** Initialiser of a `krpc_field_info`: its size, and the default in every field. */
#define KRPC_FIELD_INFO_INIT {sizeof(krpc_field_info), {NULL, 0}, {NULL, 0}, {NULL, 0}, 0, 0, 0, 0}

/** Initialiser of a `krpc_stream_options`: its size, and the default in every field. */
#define KRPC_STREAM_OPTIONS_INIT {sizeof(krpc_stream_options), 0, 0, 0, NULL, NULL, 0, 0}

/** Initialiser of a `krpc_stream_stats`: its size, and the default in every field. */
#define KRPC_STREAM_STATS_INIT {sizeof(krpc_stream_stats), 0, 0, 0, 0}

/** Initialiser of a `krpc_stream_counters`: its size, and the default in every field. */
#define KRPC_STREAM_COUNTERS_INIT {sizeof(krpc_stream_counters), {NULL, 0}, {NULL, 0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Initialiser of a `krpc_stream_event`: its size, and the default in every field. */
#define KRPC_STREAM_EVENT_INIT {sizeof(krpc_stream_event), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, {NULL, 0}, {NULL, 0}, {NULL, 0}, NULL, NULL, 0, 0}

/** Initialiser of a `krpc_stream_observer`: its size, and the default in every field. */
#define KRPC_STREAM_OBSERVER_INIT {sizeof(krpc_stream_observer), NULL, NULL, NULL, NULL, 0, 0, 0}

/** Initialiser of a `krpc_stream_interceptor`: its size, and the default in every field. */
#define KRPC_STREAM_INTERCEPTOR_INIT {sizeof(krpc_stream_interceptor), NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL}

/** Initialiser of a `krpc_stream_limits`: its size, and the default in every field. */
#define KRPC_STREAM_LIMITS_INIT {sizeof(krpc_stream_limits), 0, 0, 0, 0, 0, 0, 0, 0}

/** Initialiser of a `krpc_client_stream_stats`: its size, and the default in every field. */
#define KRPC_CLIENT_STREAM_STATS_INIT {sizeof(krpc_client_stream_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

/** Initialiser of a `krpc_server_stream_stats`: its size, and the default in every field. */
#define KRPC_SERVER_STREAM_STATS_INIT {sizeof(krpc_server_stream_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}

#endif  /* KRPC_H */
