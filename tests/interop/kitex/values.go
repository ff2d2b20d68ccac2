package main

import (
	"fmt"
	"math"
	"reflect"
	"slices"

	"kitexpeer/kitex_gen/interop"
)

func ptr[T any](v T) *T { return &v }

// fullTypes sets every field, except the two that must stay unset.
func fullTypes() *interop.AllTypes {
	v := interop.NewAllTypes()
	v.B, v.I8v, v.I16v, v.I32v, v.I64v = true, -7, 1234, -123456, 1<<40+5
	v.Dbl, v.Str, v.Bin = 3.141592653589793, "héllo, 世界 🎉", []byte{0, 0xff, 0x80, 1}
	v.Color = interop.Color_NEGATIVE
	v.Pair = &interop.Pair{Key: "k", Value: -1}
	v.Choice = &interop.Choice{Pair: &interop.Pair{Key: "in a union", Value: 9}}
	v.Strings = []string{"", "a", "b"}
	v.Ids = []int32{3, -1, 2}
	v.Counts = map[string]int64{"": 0, "one": 1, "min": math.MinInt64}
	v.Matrix = [][]int32{{}, {1}, {2, 3}}
	v.PairsById = map[int32][]*interop.Pair{-1: {}, 1: {{Key: "x", Value: 1}, {Key: "y", Value: 2}}}
	v.Nested = []map[string][]string{{}, {"s": {"b", "a"}, "empty": {}}}
	v.ColorNames = map[interop.Color]string{interop.Color_RED: "red", interop.Color_NEGATIVE: "negative"}
	v.Flags = []bool{true, false, true}
	v.Doubles = []float64{0, -1.5, 1e300}
	v.Blobs = [][]byte{{}, {0xff}, []byte("blob")}
	v.Table = map[string]map[string]int32{"row": {"a": 1, "b": -2}, "none": {}}
	v.Colors = []interop.Color{interop.Color_LARGE, interop.Color_RED}
	v.Choices = []*interop.Choice{{Text: ptr("t")}, {Number: ptr(int64(-3))}, {Numbers: []int32{1, 2}}}

	v.ReqStr, v.ReqI32, v.ReqList = "required", 41, []string{"r"}

	v.OptBool, v.OptI8, v.OptI16, v.OptI32 = ptr(false), ptr(int8(0)), ptr(int16(-2)), ptr(int32(0))
	v.OptI64, v.OptDbl, v.OptStr, v.OptBin = ptr(int64(4)), ptr(-0.5), ptr(""), []byte{}
	v.OptColor, v.OptPair = ptr(interop.Color_GREEN), &interop.Pair{}
	v.OptList, v.OptMap, v.OptSet = []int64{}, map[string]string{"a": ""}, []string{"one"}

	v.DefI32, v.DefStr, v.OptDefI32, v.DefList = 43, "not default", 8, []int32{}
	v.DefColor, v.DefBool = interop.Color_RED, false

	v.Tree = &interop.Node{Value: 1, Children: []*interop.Node{
		{Value: 2, Children: []*interop.Node{}},
		{Value: 3, Next: &interop.Node{Value: 4}},
	}}
	v.Chain = &interop.Node{Value: 5, Next: &interop.Node{Value: 6}}
	return v
}

// leastTypes sets only what has to be there: zero values, empty containers, no
// optional field, defaults as they are.
func leastTypes() *interop.AllTypes {
	v := interop.NewAllTypes()
	// Go writes nil containers and structs as empty ones, which come back not
	// nil; start from the empty ones so that values can be compared. A union
	// cannot be empty.
	v.Color = interop.Color_RED
	v.Bin = []byte{}
	v.Pair = &interop.Pair{}
	v.Choice = &interop.Choice{Number: ptr(int64(0))}
	v.Strings = []string{}
	v.Ids = []int32{}
	v.Counts = map[string]int64{}
	v.Matrix = [][]int32{}
	v.PairsById = map[int32][]*interop.Pair{}
	v.Nested = []map[string][]string{}
	v.ColorNames = map[interop.Color]string{}
	v.Flags = []bool{}
	v.Doubles = []float64{}
	v.Blobs = [][]byte{}
	v.Table = map[string]map[string]int32{}
	v.Colors = []interop.Color{}
	v.Choices = []*interop.Choice{}
	v.ReqList = []string{}
	v.Tree = &interop.Node{}
	v.Chain = &interop.Node{}
	return v
}

// extremeTypes holds the ends of the ranges, special doubles and deep nesting.
func extremeTypes() *interop.AllTypes {
	v := leastTypes()
	v.I8v, v.I16v, v.I32v, v.I64v = math.MinInt8, math.MinInt16, math.MinInt32, math.MinInt64
	v.OptI8, v.OptI16 = ptr(int8(math.MaxInt8)), ptr(int16(math.MaxInt16))
	v.OptI32, v.OptI64 = ptr(int32(math.MaxInt32)), ptr(int64(math.MaxInt64))
	v.Dbl, v.OptDbl = math.Copysign(0, -1), ptr(math.MaxFloat64)
	v.Doubles = []float64{math.Inf(1), math.Inf(-1), math.SmallestNonzeroFloat64, -math.MaxFloat64}
	v.Color = interop.Color_LARGE
	v.Str = "\x00\x7f\u0080\uffff\U0010ffff"
	v.Bin = patternBytes(300)
	for i := int32(0); i < 1000; i++ {
		v.Ids = append(v.Ids, i-500)
		v.Strings = append(v.Strings, fmt.Sprint(i))
		v.Counts[fmt.Sprint("key ", i)] = int64(i)
	}
	// Kitex skips 64 levels deep; the chain stays below that with its envelope.
	for i, n := int32(0), v.Chain; i < 40; i, n = i+1, n.Next {
		n.Next = &interop.Node{Value: i}
	}
	return v
}

// sameTypes compares all fields; sets are equal in any order. It reorders the
// sets of both.
func sameTypes(got, want *interop.AllTypes) error {
	for _, v := range []*interop.AllTypes{got, want} {
		slices.Sort(v.Ids)
		slices.Sort(v.OptSet)
		for _, m := range v.Nested {
			for _, set := range m {
				slices.Sort(set)
			}
		}
	}
	// -0 equals 0 for the comparison below.
	if math.Float64bits(got.Dbl) != math.Float64bits(want.Dbl) {
		return fmt.Errorf("dbl: got %v, want %v", got.Dbl, want.Dbl)
	}
	return equalFields(got, want)
}

// equalFields names the first field that differs; printing both structs would
// be unreadable.
func equalFields(got, want *interop.AllTypes) error {
	g, w := reflect.ValueOf(*got), reflect.ValueOf(*want)
	for i := 0; i < g.NumField(); i++ {
		if err := equal(g.Type().Field(i).Name, g.Field(i).Interface(), w.Field(i).Interface()); err != nil {
			return err
		}
	}
	return nil
}
