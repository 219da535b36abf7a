package nftables

import "encoding/binary"

// message is a netlink message of nf_tables in the making: attributes, one after the
// other, some of which hold others. It is written by hand, since a full sync is
// hundreds of thousands of attributes.
type message struct{ b []byte }

// nested marks an attribute that holds others (NLA_F_NESTED).
const nested = 1 << 15

// bytes adds an attribute.
func (m *message) bytes(kind uint16, data []byte) {
	at := m.open(kind)
	m.b = append(m.b, data...)
	m.close(at)
}

// chars is bytes, of a string.
func (m *message) chars(kind uint16, data string) {
	at := m.open(kind)
	m.b = append(m.b, data...)
	m.close(at)
}

// name adds an attribute that is a string with a zero at its end.
func (m *message) name(kind uint16, name string) {
	at := m.open(kind)
	m.b = append(append(m.b, name...), 0)
	m.close(at)
}

// number adds an attribute of four bytes in network order.
func (m *message) number(kind uint16, n uint32) {
	at := m.open(kind)
	m.b = binary.BigEndian.AppendUint32(m.b, n)
	m.close(at)
}

// open begins an attribute, whose length close fills in.
func (m *message) open(kind uint16) int {
	at := len(m.b)
	m.b = binary.NativeEndian.AppendUint16(append(m.b, 0, 0), kind)
	return at
}

// nest begins an attribute that holds others.
func (m *message) nest(kind uint16) int { return m.open(kind | nested) }

// close ends the attribute that was begun at a place, and fills it up to four bytes.
func (m *message) close(at int) {
	binary.NativeEndian.PutUint16(m.b[at:], uint16(len(m.b)-at))
	for len(m.b)%4 != 0 {
		m.b = append(m.b, 0)
	}
}
