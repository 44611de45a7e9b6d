// A Go program with stubs made from our proto/, as a service that calls the server has it. SCOREWIRE_ADDRESS says where it is.
package client

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"scorewire.test/client/inference"
	"scorewire.test/client/scorewirev1"
)

const (
	model     = "breast-cancer"
	score     = 0.0023351803260416386
	tolerance = 1e-5
)

// The first golden row of the model, and its score above.
var row = []float32{11.31, 19.04, 71.8, 394.1, 0.08139, 0.04701, 0.03709, 0.0223, 0.1516, 0.05667, 0.2727, 0.9429, 1.831, 18.15, 0.009282, 0.009216, 0.02063,
	0.008965, 0.02183, 0.002146, 12.33, 23.84, 78.0, 466.7, 0.129, 0.09148, 0.1444, 0.06961, 0.24, 0.06641}

func dial(t *testing.T) *grpc.ClientConn {
	connection, err := grpc.NewClient(os.Getenv("SCOREWIRE_ADDRESS"), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

func scoring(t *testing.T) (scorewirev1.ScoringServiceClient, context.Context) {
	return scorewirev1.NewScoringServiceClient(dial(t)), limited(t)
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func near(t *testing.T, found, expected float32) {
	t.Helper()
	if !(math.Abs(float64(found-expected)) <= tolerance) {
		t.Errorf("score %v, expected %v", found, expected)
	}
}

func dense(values []float32) *scorewirev1.Row {
	return &scorewirev1.Row{Form: &scorewirev1.Row_Dense{Dense: &scorewirev1.DenseRow{Values: values}}}
}

func TestScore(t *testing.T) {
	client, ctx := scoring(t)
	request := &scorewirev1.ScoreRequest{Model: model, Row: dense(row), Entity: &scorewirev1.ScoreRequest_EntityNumber{EntityNumber: 42}}
	answer, err := client.Score(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	near(t, answer.Score, score)
	if answer.EntityId != "42" || answer.Origin != scorewirev1.Origin_ORIGIN_REAL_TIME || answer.Label == nil || *answer.Label != 0 {
		t.Errorf("unexpected answer %v", answer)
	}
}

func TestScoreSaysWhatIsWrong(t *testing.T) {
	client, ctx := scoring(t)
	_, err := client.Score(ctx, &scorewirev1.ScoreRequest{Model: "nobody's", Row: dense(row)})
	if status.Code(err) != codes.NotFound {
		t.Errorf("expected NOT_FOUND, found %v", err)
	}
}

func TestScoreBatch(t *testing.T) {
	client, ctx := scoring(t)
	matrix := &scorewirev1.Matrix{Columns: uint32(len(row)), Values: append(append([]float32{}, row...), row...)}
	stream, err := client.ScoreBatch(ctx, &scorewirev1.ScoreBatchRequest{Model: model, Rows: &scorewirev1.ScoreBatchRequest_Matrix{Matrix: matrix}})
	if err != nil {
		t.Fatal(err)
	}
	var scores []float32
	var summary *scorewirev1.ScoreBatchSummary
	for {
		part, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		scores = append(scores, part.GetChunk().GetScores()...)
		if part.GetSummary() != nil {
			summary = part.GetSummary()
		}
	}
	if len(scores) != 2 || summary.GetScored() != 2 {
		t.Fatalf("scores %v, summary %v", scores, summary)
	}
	near(t, scores[0], score)
	near(t, scores[1], score)
}

func TestScoreStream(t *testing.T) {
	client, ctx := scoring(t)
	stream, err := client.ScoreStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	const items = 100
	for id := uint64(1); id <= items; id++ {
		item := &scorewirev1.StreamItem{Id: id, Request: &scorewirev1.ScoreRequest{Model: model, Row: dense(row)}}
		if err := stream.Send(&scorewirev1.ScoreStreamRequest{Items: []*scorewirev1.StreamItem{item}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	seen := map[uint64]bool{}
	for {
		message, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, result := range message.Results {
			near(t, result.GetResponse().GetScore(), score)
			seen[result.Id] = true
		}
	}
	if len(seen) != items {
		t.Errorf("%d of %d items were answered", len(seen), items)
	}
}

func TestPutScores(t *testing.T) {
	connection, ctx := dial(t), limited(t)
	stream, err := scorewirev1.NewScoreStoreServiceClient(connection).PutScores(ctx)
	if err != nil {
		t.Fatal(err)
	}
	entries := []*scorewirev1.ScoreEntry{
		{Entity: &scorewirev1.ScoreEntry_EntityId{EntityId: "go"}, Score: proto.Float32(0.75), ScoredAt: timestamppb.Now()},
		{Entity: &scorewirev1.ScoreEntry_EntityNumber{EntityNumber: 7}, Score: proto.Float32(0.25)},
	}
	for at, entry := range entries {
		request := &scorewirev1.PutScoresRequest{Entries: []*scorewirev1.ScoreEntry{entry}}
		if at == 0 {
			request.Model = model
		}
		if err := stream.Send(request); err != nil {
			t.Fatal(err)
		}
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	if answer.Received != 2 || answer.Stored != 2 {
		t.Errorf("unexpected answer %v", answer)
	}
	request := &scorewirev1.ScoreRequest{Model: model, Entity: &scorewirev1.ScoreRequest_EntityId{EntityId: "go"}}
	found, err := scorewirev1.NewScoringServiceClient(connection).Score(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	if found.Score != 0.75 || found.Origin != scorewirev1.Origin_ORIGIN_PRECOMPUTED {
		t.Errorf("unexpected answer %v", found)
	}
}

func TestListModels(t *testing.T) {
	answer, err := scorewirev1.NewModelServiceClient(dial(t)).ListModels(limited(t), &scorewirev1.ListModelsRequest{})
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range answer.Models {
		if found.Name == model && found.Live {
			return
		}
	}
	t.Errorf("no live version of %s among %v", model, answer.Models)
}

func int32s(values []int32) []byte {
	var raw []byte
	for _, value := range values {
		raw = binary.LittleEndian.AppendUint32(raw, uint32(value))
	}
	return raw
}

func addends() (a, b []int32) {
	for n := int32(0); n < 16; n++ {
		a, b = append(a, n), append(b, 1)
	}
	return
}

func inferRequest(typed bool) *inference.ModelInferRequest {
	a, b := addends()
	request := &inference.ModelInferRequest{ModelName: "simple", Id: "from Go"}
	for at, values := range [][]int32{a, b} {
		input := &inference.ModelInferRequest_InferInputTensor{Name: []string{"INPUT0", "INPUT1"}[at], Datatype: "INT32", Shape: []int64{1, 16}}
		if typed {
			input.Contents = &inference.InferTensorContents{IntContents: values}
		} else {
			request.RawInputContents = append(request.RawInputContents, int32s(values))
		}
		request.Inputs = append(request.Inputs, input)
	}
	return request
}

func checkInferred(t *testing.T, answer *inference.ModelInferResponse) {
	t.Helper()
	a, b := addends()
	if answer.Id != "from Go" || answer.ModelName != "simple" || answer.ModelVersion != "1" || len(answer.RawOutputContents) != 2 {
		t.Fatalf("unexpected answer %v", answer)
	}
	for at, value := range a {
		sum := int32(binary.LittleEndian.Uint32(answer.RawOutputContents[0][4*at:]))
		difference := int32(binary.LittleEndian.Uint32(answer.RawOutputContents[1][4*at:]))
		if sum != value+b[at] || difference != value-b[at] {
			t.Fatalf("element %d: sum %d, difference %d", at, sum, difference)
		}
	}
}

func TestModelInfer(t *testing.T) {
	client, ctx := inference.NewGRPCInferenceServiceClient(dial(t)), limited(t)
	for _, typed := range []bool{false, true} {
		answer, err := client.ModelInfer(ctx, inferRequest(typed))
		if err != nil {
			t.Fatal(err)
		}
		checkInferred(t, answer)
	}
}

func TestModelStreamInfer(t *testing.T) {
	stream, err := inference.NewGRPCInferenceServiceClient(dial(t)).ModelStreamInfer(limited(t))
	if err != nil {
		t.Fatal(err)
	}
	const requests = 20
	for n := 0; n < requests; n++ {
		if err := stream.Send(inferRequest(n%2 == 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for n := 0; n < requests; n++ {
		message, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if message.ErrorMessage != "" {
			t.Fatal(message.ErrorMessage)
		}
		checkInferred(t, message.InferResponse)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("expected the end, found %v", err)
	}
}
