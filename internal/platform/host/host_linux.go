package host

import (
	"bytes"
	"os"
)

// pool is where hv_kvp_daemon keeps what the host says by itself.
// Source: tools/hv/hv_kvp_daemon.c, KVP_POOL_AUTO_EXTERNAL.
const pool = "/var/lib/hyperv/.kvp_pool_3"

// A record is a key and a value, each filled with zeros.
// Source: include/uapi/linux/hyperv.h, HV_KVP_EXCHANGE_MAX_{KEY,VALUE}_SIZE.
const (
	keySize   = 512
	valueSize = 2048
	// recordsMax bounds what is read; Hyper-V writes some ten.
	recordsMax = 256
)

func name() string {
	f, err := os.Open(pool)
	if err != nil {
		return "" // not on Hyper-V, or its daemon isn't there
	}
	defer f.Close()
	b := make([]byte, recordsMax*(keySize+valueSize))
	n, _ := f.Read(b)
	return parse(b[:n])
}

// parse finds the host's name among the records; empty: it isn't there.
func parse(b []byte) string {
	found := make(map[string]string)
	for ; len(b) >= keySize+valueSize; b = b[keySize+valueSize:] {
		found[text(b[:keySize])] = text(b[keySize : keySize+valueSize])
	}
	for _, k := range keys {
		if v := found[k]; v != "" && len(v) <= 255 {
			return v
		}
	}
	return ""
}

func text(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return string(b)
}
