//! Names and numbers of the TTHeader metadata (ttheader.md §1.2, §1.3, §2).

/// Keys of the int block; every value is text (ttheader.md §2.1).
pub mod int {
    /// Transport of the payload: `framed` or `unframed`.
    pub const TRANSPORT_TYPE: u16 = 1;
    /// Log id.
    pub const LOG_ID: u16 = 2;
    /// Name of the calling service.
    pub const FROM_SERVICE: u16 = 3;
    /// Cluster of the calling service.
    pub const FROM_CLUSTER: u16 = 4;
    /// Data centre of the calling service.
    pub const FROM_IDC: u16 = 5;
    /// Name of the called service.
    pub const TO_SERVICE: u16 = 6;
    /// Cluster of the called service.
    pub const TO_CLUSTER: u16 = 7;
    /// Data centre of the called service.
    pub const TO_IDC: u16 = 8;
    /// Called method; not used to dispatch.
    pub const TO_METHOD: u16 = 9;
    /// Environment.
    pub const ENV: u16 = 10;
    /// Address that was dialled.
    pub const DEST_ADDRESS: u16 = 11;
    /// Configured timeout of the call in milliseconds; not the time left.
    pub const RPC_TIMEOUT: u16 = 12;
    /// Read timeout in milliseconds.
    pub const READ_TIMEOUT: u16 = 13;
    /// Key of a hash ring.
    pub const RING_HASH_KEY: u16 = 14;
    /// Routing tag.
    pub const DDP_TAG: u16 = 15;
    /// Whether a mesh header follows.
    pub const WITH_MESH_HEADER: u16 = 16;
    /// Connect timeout in milliseconds.
    pub const CONNECT_TIMEOUT: u16 = 17;
    /// Tracing span.
    pub const SPAN_CONTEXT: u16 = 18;
    /// Whether the connection is for one call.
    pub const SHORT_CONNECTION: u16 = 19;
    /// Method of the server whose handler makes the call.
    pub const FROM_METHOD: u16 = 20;
    /// Stress-test tag.
    pub const STRESS_TAG: u16 = 21;
    /// Number of the [`MessageType`](crate::wire::thrift::MessageType) as text; Volo replies with
    /// one raw byte.
    pub const MSG_TYPE: u16 = 22;
    /// Content type of an HTTP body.
    pub const HTTP_CONTENT_TYPE: u16 = 23;
    /// Key of a hash ring, not hashed.
    pub const RAW_RING_HASH_KEY: u16 = 24;
    /// Load-balancer type.
    pub const LB_TYPE: u16 = 25;
    /// Cluster shard.
    pub const CLUSTER_SHARD_ID: u16 = 26;
    /// Kind of a stream frame: `1` meta, `2` header, `3` data, `4` trailer, `5` reset.
    pub const FRAME_TYPE: u16 = 27;
}

/// Service name in the IDL; routes the call (ttheader.md §8).
pub const IDL_SERVICE_NAME: &[u8] = b"isn";
/// Address of the real peer, set by a mesh proxy.
pub const REMOTE_ADDRESS: &[u8] = b"rip";
/// Its presence asks the peer to drop the connection after this message.
pub const CONNECTION_RESET: &[u8] = b"crrst";

/// On the first request of a multiplexed connection: the client understands the notice that the server
/// stops. This library's own key, because the notice is fatal to Kitex's clients: those of v0.16 panic when
/// they decode it, and every call on the connection with them (netpollmux, `muxCliConn.OnRequest`).
pub const TAKES_NOTICE: &[u8] = b"krpc-takes-notice";
/// Business status (ttheader.md §6).
pub const BIZ_STATUS: &[u8] = b"biz-status";
/// Business message.
pub const BIZ_MESSAGE: &[u8] = b"biz-message";
/// Business extra pairs, a JSON object.
pub const BIZ_EXTRA: &[u8] = b"biz-extra";
/// Names of the services through which a stream's cancel has come, joined by commas (ttstream.md §4.3).
pub const CANCEL_PATH: &[u8] = b"ttscp";
/// CRC-32C of the payload (ttheader.md §9).
pub const CRC32C: &[u8] = b"crc32c";
/// The string key that stands for the ACL block (ttheader.md §1.4).
pub const ACL_TOKEN: &[u8] = b"RPC_TRANSIT_gdpr-token";

/// Prefix of persistent metainfo.
pub const PREFIX_PERSISTENT: &[u8] = b"RPC_PERSIST_";
/// Prefix of transient metainfo.
pub const PREFIX_TRANSIENT: &[u8] = b"RPC_TRANSIT_";
/// Prefix of metainfo that was transient for the hop before; test it before [`PREFIX_TRANSIENT`].
pub const PREFIX_UPSTREAM: &[u8] = b"RPC_TRANSIT_UPSTREAM_";
/// Prefix that Volo puts before backward values; Kitex uses none (ttheader.md §11).
pub const PREFIX_BACKWARD: &[u8] = b"RPC_BACKWARD_";
/// Prefix of a custom payload validator's value.
pub const PREFIX_VALIDATOR: &[u8] = b"PV_";

/// Bits of the header's flags (ttheader.md §1.2).
pub mod flags {
    /// Replies may come in any order; set by a multiplexing client.
    pub const OUT_OF_ORDER: u16 = 0x0001;
    /// A frame of the TTHeader streaming protocol.
    pub const STREAMING: u16 = 0x0002;
}

/// Protocol ids of a header. They never select the codec (ttheader.md §1.3).
pub mod protocol_id {
    /// Thrift Binary; written for Kitex-protobuf too.
    pub const THRIFT_BINARY: u8 = 0x00;
    /// Thrift Compact; refused.
    pub const THRIFT_COMPACT: u8 = 0x02;
    /// Compact v2, which older releases wrote for Kitex-protobuf.
    pub const THRIFT_COMPACT_V2: u8 = 0x03;
    /// Kitex-protobuf.
    pub const KITEX_PROTOBUF: u8 = 0x04;
    /// A bare Thrift struct; streaming.
    pub const THRIFT_STRUCT: u8 = 0x10;
    /// A bare protobuf message; streaming.
    pub const PROTOBUF_STRUCT: u8 = 0x11;
}
